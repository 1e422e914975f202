import type { Socket } from 'node:net';

import { AdminClient, openCoordinator, type Coordinator } from '@skein/client';
import { Watchdog } from '@skein/mesh';
import {
  adminRoutes,
  isSkeinError,
  SkeinError,
  type AnswerOf,
  type AnswerRoute,
  type DaemonStatus,
  type RequestTo,
} from '@skein/protocol';

import { ownTransport } from './own-transport.ts';
import { fetchOver } from './socket-fetch.ts';

/**
 * Longest wait for an answer, in milliseconds: a daemon answers from memory; one that is busy with a model still does
 * within seconds.
 */
const answerTimeoutMs = 10_000;

/** URL of the daemon in requests: HTTP needs a host, and a socket has none. */
const url = 'http://localhost';

/**
 * Connects to the daemon at a control path; undefined when none runs, be it that something is left over or nothing.
 *
 * @throws SkeinError `peer-lost` for any other failure: a daemon may listen there, and be too busy or somebody else's;
 * `disk-failed` when the path can't be read
 */
export async function dialControl(path: string, transport = ownTransport): Promise<Socket | undefined> {
  try {
    return await transport.dial(path);
  } catch (error) {
    if (isSkeinError(error)) throw error;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    const fix = 'try again; if it stays so, end its process by hand';
    throw new SkeinError('peer-lost', `can't reach the daemon at ${path}${code}; ${fix}`, { cause: error });
  }
}

/**
 * Returns the daemon's view of itself and its mesh; undefined when none runs.
 *
 * @throws SkeinError as {@link askDaemon} does
 */
export async function askStatus(path: string): Promise<DaemonStatus | undefined> {
  return await askDaemon(path, adminRoutes.daemonStatus, {});
}

/**
 * Makes the daemon announce its store's present models to the mesh. Does nothing when none runs.
 *
 * @throws SkeinError as {@link askDaemon} does
 */
export async function announceModels(path: string): Promise<void> {
  await askDaemon(path, adminRoutes.announceModels, {});
}

/**
 * Sends a request to the daemon and returns its answer; undefined when none runs.
 *
 * @throws SkeinError the daemon's error; `deadline-exceeded` when it is silent for ten seconds; `peer-lost` when it
 * goes away
 */
export async function askDaemon<Route extends AnswerRoute>(
  path: string,
  route: Route,
  request: RequestTo<Route>,
): Promise<AnswerOf<Route> | undefined> {
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  using watchdog = new Watchdog(undefined);
  using _deadline = answerDeadline(watchdog, { timeoutMs: answerTimeoutMs, fix: 'stop it with `skein stop`' });
  try {
    return await clientOver(socket).ask(route, request, watchdog);
  } catch (error) {
    throw watchdog.explain(error);
  } finally {
    socket.destroy();
  }
}

/**
 * Stops the daemon and waits until its process is gone. Returns its process id; undefined when none ran. A daemon that
 * has answered stops even when this throws later.
 *
 * @param options.answerTimeoutMs longest wait for its answer, in milliseconds. Default: 10,000
 * @throws SkeinError `deadline-exceeded` when it does not answer in time; the signal's reason when that aborts
 */
export async function stopDaemon(
  path: string,
  options: { readonly signal: AbortSignal; readonly answerTimeoutMs?: number },
): Promise<number | undefined> {
  const { signal, answerTimeoutMs: timeoutMs = answerTimeoutMs } = options;
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  using watchdog = new Watchdog(signal);
  const fix = 'end its process by hand, then run `skein up` or `skein join` again';
  using deadline = answerDeadline(watchdog, { timeoutMs, fix });
  let pid: number | undefined;
  try {
    for await (const stopping of clientOver(socket).follow(adminRoutes.stop, {}, watchdog)) {
      ({ pid } = stopping);
      deadline[Symbol.dispose]();
    }
  } catch (error) {
    const reason = watchdog.explain(error);
    // A process that is killed may break its connections: an end like any other.
    if (pid === undefined || reason.code !== 'peer-lost') throw reason;
  } finally {
    socket.destroy();
  }
  if (pid === undefined) throw daemonLost();
  return pid;
}

/**
 * Makes a client of the coordinator in the daemon at a control socket. Its methods throw SkeinError `not-running` when
 * there is none.
 */
export function openLocalCoordinator(path: string): Coordinator {
  return openCoordinator({
    url,
    fetch: async (...request) => {
      const socket = await dialControl(path);
      if (socket !== undefined) return await fetchOver(socket, fetchFailed)(...request);
      throw new SkeinError('not-running', `nothing answers at ${path}; start it there with \`skein up\``);
    },
  });
}

/** Makes a client for one request. */
function clientOver(socket: Socket): AdminClient {
  return new AdminClient({ url, fetch: fetchOver(socket, daemonLost) });
}

function daemonLost(cause?: unknown): SkeinError {
  return new SkeinError('peer-lost', 'the daemon went away; try again', { cause });
}

/** Makes the error of the platform's own `fetch`. */
function fetchFailed(cause: unknown): TypeError {
  return new TypeError('fetch failed', { cause });
}

/** Makes a signal that aborts with `deadline-exceeded` and the fix, unless it is disposed of in time. */
function answerDeadline(
  watchdog: Watchdog,
  { timeoutMs, fix }: { readonly timeoutMs: number; readonly fix: string },
): Disposable {
  const timer = setTimeout(() => {
    watchdog.abort(new SkeinError('deadline-exceeded', `the daemon does not answer; ${fix}`));
  }, timeoutMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}
