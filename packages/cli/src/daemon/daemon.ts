import { AuditLog, createCoordinator, type ComingModel, type Coordinator } from '@skein/coordinator';
import { createMesh, signingKeyOf, type InviteOptions, type LivenessPreset, type Mesh } from '@skein/mesh';
import { createPeer, openStore, type ModelStore, type PeerOptions } from '@skein/node';
import { SkeinError, type Logger, type Role } from '@skein/protocol';

import { auditDirectory } from '../data/audit-directory.ts';
import { missingFirstFiles, removeFirstFiles } from '../data/first-files.ts';
import { ownIdentity } from '../data/own-identity.ts';
import { openControlServer, stopHandler } from '../control/control-server.ts';
import { software } from '../program/software.ts';
import { daemonStatus } from './daemon-status.ts';
import { notCoordinating } from './not-coordinating.ts';
import { inviteTo, membershipHandlers, recordMembership } from './membership-handlers.ts';

export interface Preparation {
  /** Aborts the preparation. */
  readonly signal: AbortSignal;
  /** Makes the directory keep its present content, however the start ends: others know of it. */
  readonly keep: () => void;
}

export interface DaemonOptions {
  /** Data directory, opened. */
  readonly directory: string;
  /** Passphrase of the keys in it. */
  readonly passphrase: string | undefined;
  /** Path of its control socket. */
  readonly controlPath: string;
  /** Makes the directory belong to a mesh. Called once this daemon is the only one in it. */
  readonly prepare: (preparation: Preparation) => Promise<void>;
  readonly name?: string | undefined;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs to tell others of instead of those of the interfaces, for which `own` stands. */
  readonly announce?: readonly string[] | undefined;
  /** Names of the interfaces to be dialled and found at. Default: the physical ones. */
  readonly interfaces?: readonly string[] | undefined;
  /** Multiaddrs of members to stay connected to. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly liveness: LivenessPreset | 'auto';
  /** Settings of the peer. Left out, this machine holds no layers. */
  readonly serve?: Pick<PeerOptions, 'backend' | 'threads' | 'gpuOptions' | 'keepAwake'> | undefined;
  /** Settings of the HTTP API. Left out, this machine does not plan, and has none. */
  readonly coordinate?:
    | {
        readonly host: string;
        readonly port: number;
        /** The model that is deployed next, if one is. */
        readonly coming?: ComingModel | undefined;
      }
    | undefined;
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
  /**
   * Returns the text of a new invite to this mesh.
   *
   * @throws SkeinError `not-permitted` where another machine has the authority, `not-running` without an address that
   * others can dial
   */
  invite(options?: InviteOptions): Promise<string>;
  /** Announces the store's present models to the mesh. Does nothing where no layers are held. */
  announceModels(): Promise<void>;
  /** Aborts when a command asks the daemon to stop. */
  readonly stopRequested: AbortSignal;
}

interface Running extends Omit<Daemon, keyof AsyncDisposable> {
  readonly coordinator: Coordinator | undefined;
}

/**
 * Starts a machine's parts: the control socket, the mesh, and on it a peer, a coordinator with its audit log, or both.
 * A failed start leaves nothing behind, not even an identity, a mesh or a log that it made, unless others know of that.
 *
 * @throws SkeinError `already-running` for a directory with a daemon or a port that is taken; the errors of the parts
 */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { directory, serve, coordinate, logger, signal } = options;
  await using stack = new AsyncDisposableStack();
  const stopRequest = new AbortController();
  let running: Running | undefined;
  const whenRunning = () => {
    if (running !== undefined) return running;
    throw new SkeinError(
      'not-running',
      'Skein is still starting here, or waits for its join to be approved; try again in a moment',
    );
  };
  const stop = (): void => stopRequest.abort(new SkeinError('aborted', 'stopped by `skein stop`'));
  const startedAtMs = Date.now();
  stack.use(
    await openControlServer(options.controlPath, {
      administration: {
        daemonStatus: () => daemonStatus({ ...whenRunning(), startedAtMs, keepsAwake: serve?.keepAwake === true }),
        ...membershipHandlers(() => whenRunning().mesh, { directory, listen: options.listen, stop }),
        announceModels: async () => {
          await whenRunning().announceModels();
          return {};
        },
        stop: stopHandler(stop),
      },
      api: () => {
        const { coordinator } = whenRunning();
        if (coordinator === undefined) throw notCoordinating();
        return coordinator.api;
      },
      logger,
    }),
  );
  const starting = AbortSignal.any([signal, stopRequest.signal]);
  let newFiles = await missingFirstFiles(directory);
  stack.defer(async () => {
    if (running === undefined) await removeFirstFiles(newFiles);
  });

  const { passphrase } = options;
  const key = signingKeyOf(await ownIdentity(directory, { passphrase }));
  await options.prepare({ signal: starting, keep: () => void (newFiles = []) });
  const audit = coordinate && (await AuditLog.open({ directory: auditDirectory(directory), key, logger }));
  if (audit !== undefined) stack.use(audit);
  const store = await openStore(directory, { logger });
  const mesh = await createMesh({
    directory,
    passphrase,
    software,
    roles: rolesOf(options),
    listen: options.listen,
    announce: options.announce,
    interfaces: options.interfaces,
    peers: options.peers,
    mdns: options.mdns,
    onDenial: (denial) => void audit?.append({ type: 'refusal', ...denial }),
    liveness: options.liveness,
    logger,
    ...(options.name !== undefined && { name: options.name }),
  });
  stack.defer(async () => await mesh.stop());
  if (audit !== undefined) recordMembership(mesh, { audit, logger });
  starting.throwIfAborted();
  await mesh.start();

  const peer = serve && createPeer({ mesh, store, directory, logger, ...serve });
  if (peer !== undefined) {
    stack.defer(async () => await peer.stop());
    starting.throwIfAborted();
    await peer.start({ signal: starting });
  }
  const coordinator = coordinate && createCoordinator({ mesh, directory, audit, ...coordinate, logger });
  if (coordinator !== undefined) {
    stack.defer(async () => await coordinator.stop());
    starting.throwIfAborted();
    await coordinator.start();
  }
  starting.throwIfAborted();

  const invite = async (wanted?: InviteOptions) => await inviteTo(mesh, options.listen, wanted);
  const announceModels = async () => await peer?.announceModels();
  const daemon = { mesh, store, url: coordinator?.url, invite, announceModels, stopRequested: stopRequest.signal };
  running = { ...daemon, coordinator };
  const started = stack.move();
  return { ...daemon, [Symbol.asyncDispose]: async () => await started.disposeAsync() };
}

function rolesOf({ serve, coordinate }: DaemonOptions): Role[] {
  return [...(coordinate ? ['coordinator' as const] : []), ...(serve ? ['peer' as const] : [])];
}
