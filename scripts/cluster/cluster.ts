import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { createCoordinator, type AuditPort, type Coordinator } from '@skein/coordinator';
import { Authority, createMesh, type Mesh } from '@skein/mesh';
import { createPeer, openStore, type ModelStore, type Peer } from '@skein/node';
import { silentLogger, type Logger, type Role } from '@skein/protocol';

export interface ClusterPeer {
  readonly mesh: Mesh;
  readonly peer: Peer;
  readonly store: ModelStore;
  readonly directory: string;
}

/** A coordinator and peers, each a mesh member of its own over TCP on loopback, with engines in processes of their own. */
export interface Cluster extends AsyncDisposable {
  readonly authority: Authority;
  readonly coordinatorMesh: Mesh;
  readonly coordinator: Coordinator;
  readonly peers: readonly ClusterPeer[];
  /** Adds a member to the mesh. It is stopped with the cluster. */
  join(roles: readonly Role[]): Promise<Mesh>;
}

export interface ClusterOptions {
  readonly peers: number;
  /** Paths of GGUFs that the first peer holds; the others hold none. */
  readonly models: readonly string[];
  readonly contextTokens?: number;
  /** Logger of all members. */
  readonly logger?: Logger;
  /** Audit log of the coordinator. Default: none. */
  readonly audit?: AuditPort;
  /** Data directory of the coordinator. Default: it keeps nothing. */
  readonly directory?: string;
}

/** Starts a cluster and waits until the coordinator sees every peer and model. */
export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const stack = new AsyncDisposableStack();
  try {
    const authority = await Authority.ephemeral();
    let first: readonly string[] = [];
    const logger = options.logger ?? silentLogger;
    const join = async (roles: readonly Role[], held?: Authority): Promise<Mesh> => {
      const enrolled = await authority.enroll(roles);
      const mesh = await createMesh({ ...enrolled, authority: held, roles, peers: first, mdns: false, logger });
      await mesh.start();
      stack.defer(async () => mesh.stop());
      return mesh;
    };
    const coordinatorMesh = await join(['coordinator'], authority);
    first = coordinatorMesh.addresses();
    const peers: ClusterPeer[] = [];
    for (let index = 0; index < options.peers; index += 1) {
      const models = index === 0 ? options.models : [];
      peers.push(await startPeer({ mesh: await join(['peer']), models, logger }, stack));
    }
    const { audit, contextTokens, directory } = options;
    const defaults = contextTokens === undefined ? {} : { contextTokens };
    const coordinator = createCoordinator({ mesh: coordinatorMesh, audit, directory, port: 0, defaults });
    await coordinator.start();
    stack.defer(async () => coordinator.stop());
    await seen(coordinatorMesh, options);
    return {
      authority,
      coordinatorMesh,
      coordinator,
      peers,
      join,
      [Symbol.asyncDispose]: async () => stack.disposeAsync(),
    };
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

async function startPeer(
  { mesh, models, logger }: { mesh: Mesh; models: readonly string[]; logger: Logger },
  stack: AsyncDisposableStack,
): Promise<ClusterPeer> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-peer-'));
  stack.defer(async () => rm(directory, { recursive: true }));
  const store = await openStore(directory);
  for (const model of models) await store.pull(model);
  const peer = createPeer({ mesh, store, directory, logger, backend: 'cpu', threads: 1 });
  await peer.start();
  stack.defer(async () => peer.stop());
  return { mesh, peer, store, directory };
}

async function seen(mesh: Mesh, { peers, models }: ClusterOptions): Promise<void> {
  for await (const cards of mesh.cards.watch({ signal: AbortSignal.timeout(20_000) })) {
    const ready = cards.filter(({ hardware }) => hardware !== undefined);
    const held = new Set(ready.flatMap((card) => card.models.map(({ model }) => model)));
    if (ready.length === peers && held.size === models.length && !mesh.absent().isGathering) return;
  }
  throw new Error('the peers did not see each other');
}
