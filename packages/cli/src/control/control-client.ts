import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

import { untilAborted } from '@skein/mesh';
import { hasCode, parseHeader, SkeinError } from '@skein/protocol';
import type { z } from 'zod';

import { readHeader, writeFrame } from './frame-socket.ts';
import {
  daemonStatusSchema,
  doneAnswerSchema,
  stopAnswerSchema,
  type ControlRequest,
  type DaemonStatus,
} from './messages.ts';

/** A daemon answers from memory; one that is busy with a model still gets there in seconds. */
const answerTimeoutMs = 10_000;

/** What the system says where nobody listens: there is no socket, one that was left over, or something else. */
const nobody: readonly string[] = ['ENOENT', 'ECONNREFUSED', 'ENOTSOCK'];

/**
 * Connects to whoever listens at a control socket; undefined when nobody does, be there a left-over socket or none. Throws
 * `peer-lost` for whatever else keeps it from that: a daemon may listen there, and be too busy or somebody else's.
 */
export async function dialControl(path: string): Promise<Socket | undefined> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch (error) {
    socket.destroy();
    if (nobody.some((code) => hasCode(error, code))) return undefined;
    const code = error instanceof Error && 'code' in error ? ` (${String(error.code)})` : '';
    const fix = 'try again; if it stays so, end its process by hand';
    throw new SkeinError('peer-lost', `can't reach the daemon at ${path}${code}; ${fix}`, { cause: error });
  }
}

/** The daemon's view of itself and its mesh; undefined when none runs. */
export async function askStatus(path: string): Promise<DaemonStatus | undefined> {
  return await ask(path, { type: 'status' }, daemonStatusSchema);
}

/** Has the daemon tell the mesh what its model store holds now. Does nothing when none runs. */
export async function announceModels(path: string): Promise<void> {
  await ask(path, { type: 'announce-models' }, doneAnswerSchema);
}

/**
 * Stops the daemon and waits until its process is gone. Returns its process id; undefined when none ran. Throws
 * `deadline-exceeded` when it does not answer within `answerTimeoutMs` (default 10,000), and what the signal was aborted
 * with; a daemon that has answered stops nevertheless.
 */
export async function stopDaemon(
  path: string,
  options: { readonly signal: AbortSignal; readonly answerTimeoutMs?: number },
): Promise<number | undefined> {
  const { signal, answerTimeoutMs: timeoutMs = answerTimeoutMs } = options;
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  try {
    const fix = 'end its process by hand, then run `skein up` or `skein join` again';
    const { pid } = await untilAborted(
      exchange(socket, { type: 'stop' }, { schema: stopAnswerSchema, timeoutMs, fix }),
      signal,
    );
    await untilAborted(untilClosed(socket), signal);
    return pid;
  } finally {
    socket.destroy();
  }
}

/** Asks the daemon; undefined when none runs. Throws what it refuses with. */
export async function ask<Schema extends z.ZodType>(
  path: string,
  request: Exclude<ControlRequest, { readonly type: 'stop' }>,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  try {
    const fix = 'stop it with `skein stop`';
    return await exchange(socket, request, { schema, timeoutMs: answerTimeoutMs, fix });
  } finally {
    socket.destroy();
  }
}

/** Asks and waits for the answer. Throws `deadline-exceeded`, with what helps, when the daemon is silent for too long. */
async function exchange<Schema extends z.ZodType>(
  socket: Socket,
  request: ControlRequest,
  options: { readonly schema: Schema; readonly timeoutMs: number; readonly fix: string },
): Promise<z.output<Schema>> {
  const { schema, timeoutMs, fix } = options;
  socket.setTimeout(timeoutMs, () =>
    socket.destroy(new SkeinError('deadline-exceeded', `the daemon does not answer; ${fix}`)),
  );
  writeFrame(socket, request);
  const answer = parseHeader(schema, await readHeader(socket));
  socket.setTimeout(0);
  return answer;
}

/** Resolves when the other side is gone, in whatever way. */
async function untilClosed(socket: Socket): Promise<void> {
  const closed = Promise.withResolvers<void>();
  // A process that is killed may reset its connections: an end like any other.
  socket.on('error', () => undefined).on('close', () => closed.resolve());
  if (socket.closed) return;
  socket.resume();
  await closed.promise;
}
