import { rm } from 'node:fs/promises';

import { createCoordinator } from '@skein/coordinator';
import { createMesh, type LivenessPreset, type Mesh, type MeshSecret } from '@skein/mesh';
import { createPeer, openStore, type Backend, type ModelStore } from '@skein/node';
import { encodeInvite, SkeinError, type Logger, type Role } from '@skein/protocol';

import { missingSecretFiles } from '../data/secret-files.ts';
import { openControlServer } from '../control/control-server.ts';
import { daemonStatus } from './daemon-status.ts';

export interface DaemonOptions {
  /** Data directory, opened. */
  readonly directory: string;
  /** Path of its control socket. */
  readonly controlPath: string;
  /** Gives the mesh secret. Called once this daemon is the only one in its directory. */
  readonly secret: () => Promise<MeshSecret>;
  readonly name?: string | undefined;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs of members to stay connected to. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly liveness: LivenessPreset;
  /** Left out: this machine holds no layers. */
  readonly serve?: { readonly backend: Backend | 'auto'; readonly threads?: number | undefined } | undefined;
  /** Left out: this machine does not plan, and has no HTTP API. */
  readonly coordinate?: { readonly host: string; readonly port: number } | undefined;
  readonly logger: Logger;
  /** Aborts starting. */
  readonly signal: AbortSignal;
}

/** A running member of the mesh. Disposing stops it all, in the reverse order of its start. */
export interface Daemon extends AsyncDisposable {
  readonly mesh: Mesh;
  readonly store: ModelStore;
  /** Base URL of the HTTP API, where this machine coordinates. */
  readonly url: string | undefined;
  /** Text of an invite to this mesh, by way of this member. */
  invite(): string;
  /** Tells the mesh what the store holds now. Does nothing where no layers are held. */
  announceModels(): Promise<void>;
  /** Aborted when a command asks the daemon to stop. */
  readonly stopRequested: AbortSignal;
}

/**
 * Starts what a machine runs: the control socket, the mesh, and on it a peer, a coordinator or both. When it fails,
 * nothing of it is left, not even an identity or a secret that it made. Throws `already-running` for a directory with a daemon or a port that is taken, and what the parts
 * throw.
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { directory, serve, coordinate, logger, signal } = options;
  await using stack = new AsyncDisposableStack();
  const stopRequest = new AbortController();
  let running: Omit<Daemon, keyof AsyncDisposable> | undefined;
  const whenRunning = () => {
    if (running !== undefined) return running;
    throw new SkeinError('not-running', 'Skein is still starting here; try again in a moment');
  };
  const startedAtMs = Date.now();
  stack.use(
    await openControlServer(options.controlPath, {
      status: () => daemonStatus({ ...whenRunning(), startedAtMs }),
      invite: () => whenRunning().invite(),
      announceModels: async () => await whenRunning().announceModels(),
      stop: () => stopRequest.abort(new SkeinError('aborted', 'stopped by `skein stop`')),
    }),
  );
  const starting = AbortSignal.any([signal, stopRequest.signal]);
  const newFiles = await missingSecretFiles(directory);
  stack.defer(async () => {
    if (running === undefined) await Promise.all(newFiles.map((path) => rm(path, { force: true })));
  });

  const secret = await options.secret();
  const store = await openStore(directory);
  const mesh = await createMesh({
    directory,
    secret,
    roles: rolesOf(options),
    listen: options.listen,
    peers: options.peers,
    mdns: options.mdns,
    liveness: options.liveness,
    logger,
    ...(options.name !== undefined && { name: options.name }),
  });
  stack.defer(async () => await mesh.stop());
  starting.throwIfAborted();
  await mesh.start();

  const peer = serve && createPeer({ mesh, store, directory, logger, ...serve });
  if (peer !== undefined) {
    stack.defer(async () => await peer.stop());
    starting.throwIfAborted();
    await peer.start();
  }
  let url: string | undefined;
  if (coordinate !== undefined) {
    const coordinator = createCoordinator({ mesh, ...coordinate, logger });
    stack.defer(async () => await coordinator.stop());
    starting.throwIfAborted();
    await coordinator.start();
    url = coordinator.url;
  }
  starting.throwIfAborted();

  const invite = () =>
    encodeInvite({ secret: Uint8Array.from(secret.reveal()), peer: mesh.peerId, addresses: [...mesh.addresses()] });
  const announceModels = async () => await peer?.announceModels();
  running = { mesh, store, url, invite, announceModels, stopRequested: stopRequest.signal };
  const started = stack.move();
  return { ...running, [Symbol.asyncDispose]: async () => await started.disposeAsync() };
}

function rolesOf({ serve, coordinate }: DaemonOptions): Role[] {
  return [...(coordinate ? ['coordinator' as const] : []), ...(serve ? ['peer' as const] : [])];
}
