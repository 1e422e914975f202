import { once } from 'node:events';
import { createConnection, type Socket } from 'node:net';

import { parseHeader, SkeinError } from '@skein/protocol';
import type { z } from 'zod';

import { readHeader, writeFrame } from './frame-socket.ts';
import {
  announceAnswerSchema,
  daemonStatusSchema,
  inviteAnswerSchema,
  stopAnswerSchema,
  type ControlRequest,
  type DaemonStatus,
} from './messages.ts';

/** A daemon answers from memory; one that is busy with a model still gets there in seconds. */
const answerTimeoutMs = 10_000;

/** Connects to whoever listens at a control socket; undefined when nobody does, be there a left-over socket or none. */
export async function dialControl(path: string): Promise<Socket | undefined> {
  const socket = createConnection(path);
  try {
    await once(socket, 'connect');
    return socket;
  } catch {
    socket.destroy();
    return undefined;
  }
}

/** The daemon's view of itself and its mesh; undefined when none runs. */
export async function askStatus(path: string): Promise<DaemonStatus | undefined> {
  return await ask(path, 'status', daemonStatusSchema);
}

/** A new invite to the daemon's mesh; undefined when none runs. */
export async function askInvite(path: string): Promise<string | undefined> {
  return (await ask(path, 'invite', inviteAnswerSchema))?.invite;
}

/** Has the daemon tell the mesh what its model store holds now. Does nothing when none runs. */
export async function announceModels(path: string): Promise<void> {
  await ask(path, 'announce-models', announceAnswerSchema);
}

/**
 * Stops the daemon and waits until its process is gone. Returns its process id; undefined when none ran. Throws what the
 * signal was aborted with; the daemon stops nevertheless.
 */
export async function stopDaemon(path: string, options: { readonly signal: AbortSignal }): Promise<number | undefined> {
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  try {
    const closed = once(socket, 'close', options);
    writeFrame(socket, { type: 'stop' });
    const { pid } = parseHeader(stopAnswerSchema, await readHeader(socket));
    socket.resume();
    await closed;
    return pid;
  } finally {
    socket.destroy();
  }
}

async function ask<Schema extends z.ZodType>(
  path: string,
  type: Exclude<ControlRequest['type'], 'stop'>,
  schema: Schema,
): Promise<z.output<Schema> | undefined> {
  const socket = await dialControl(path);
  if (socket === undefined) return undefined;
  try {
    socket.setTimeout(answerTimeoutMs, () =>
      socket.destroy(new SkeinError('deadline-exceeded', 'the daemon does not answer; stop it with `skein stop`')),
    );
    writeFrame(socket, { type });
    return parseHeader(schema, await readHeader(socket));
  } finally {
    socket.destroy();
  }
}
