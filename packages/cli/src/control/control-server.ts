import { once } from 'node:events';
import { rename, rm } from 'node:fs/promises';
import { createServer, type Server, type Socket } from 'node:net';

import type { InviteOptions } from '@skein/mesh';
import { asSkeinError, hasCode, parseHeader, SkeinError, toWireError } from '@skein/protocol';

import { dialControl } from './control-client.ts';
import { readHeader, writeFrame } from './frame-socket.ts';
import {
  controlRequestSchema,
  type ClientAnswer,
  type ControlRequest,
  type DaemonStatus,
  type MembersAnswer,
} from './messages.ts';

/** What a daemon answers commands with. What they throw goes to the command. */
export interface ControlHandlers {
  status(): DaemonStatus;
  invite(options: InviteOptions): Promise<string>;
  members(): MembersAnswer;
  approve(peer: string): Promise<void>;
  revoke(peer: string): Promise<void>;
  rotate(graceMs: number | undefined): Promise<void>;
  leave(): Promise<void>;
  admitClient(peer: string): Promise<ClientAnswer>;
  announceModels(): Promise<void>;
  /** Begins to stop; must not wait for it. */
  stop(): void;
}

const idleTimeoutMs = 10_000;
const done = { type: 'daemon-done' } as const;

/**
 * Takes the control socket of a data directory, so that one daemon runs there, and answers commands on it. A socket that a
 * killed daemon left is replaced. Disposing gives the socket up at once; connections that asked to stop stay open until the
 * process is gone. Throws `already-running` when a daemon answers there.
 */
export async function openControlServer(path: string, handlers: ControlHandlers): Promise<AsyncDisposable> {
  const server = createServer((socket) => void answer(socket, handlers));
  await claim(server, path);
  return {
    async [Symbol.asyncDispose]() {
      // Removes the socket, too. Open connections are left to themselves: they keep nothing running.
      server.close();
    },
  };
}

async function claim(server: Server, path: string): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await listen(server, path);
    } catch (error) {
      if (!hasCode(error, 'EADDRINUSE') || attempt === 3) throw cannotListen(path, error);
    }
    await assertNobodyAnswers(path);
    // Out of the way first, and looked at again there: what is removed must not be a socket that another starter has just
    // made at the old place.
    const aside = `${path}.old`;
    await rename(path, aside).catch(() => undefined);
    try {
      await assertNobodyAnswers(aside);
    } catch (error) {
      await rename(aside, path);
      throw error;
    }
    await rm(aside, { force: true });
  }
}

async function listen(server: Server, path: string): Promise<void> {
  server.listen(path);
  await once(server, 'listening');
}

async function assertNobodyAnswers(path: string): Promise<void> {
  const socket = await dialControl(path);
  if (socket === undefined) return;
  socket.destroy();
  throw new SkeinError(
    'already-running',
    'Skein runs here already; stop it with `skein stop`, or use another --data directory',
  );
}

async function answer(socket: Socket, handlers: ControlHandlers): Promise<void> {
  socket.unref();
  socket.setTimeout(idleTimeoutMs, () => socket.destroy());
  // A command that goes away is its own affair.
  socket.on('error', () => undefined);
  try {
    const request = parseHeader(controlRequestSchema, await readHeader(socket));
    writeFrame(socket, await perform(request, handlers));
    // The one who asked to stop learns from the end of this connection that the process is gone.
    if (request.type === 'stop') socket.setTimeout(0);
    else socket.end();
  } catch (error) {
    if (!socket.destroyed) writeFrame(socket, { type: 'stream-error', error: toWireError(error) });
    socket.end();
  }
}

async function perform(request: ControlRequest, handlers: ControlHandlers): Promise<object> {
  switch (request.type) {
    case 'status':
      return handlers.status();
    case 'invite': {
      const { type: _, ...options } = request;
      return { type: 'daemon-invite', invite: await handlers.invite(options) };
    }
    case 'members':
      return handlers.members();
    case 'admit-client':
      return await handlers.admitClient(request.peer);
    case 'approve':
      await handlers.approve(request.peer);
      return done;
    case 'revoke':
      await handlers.revoke(request.peer);
      return done;
    case 'rotate':
      await handlers.rotate(request.graceMs);
      return done;
    case 'leave':
      await handlers.leave();
      return done;
    case 'announce-models':
      await handlers.announceModels();
      return done;
    case 'stop':
      handlers.stop();
      return { type: 'daemon-stopping', pid: process.pid };
  }
}

function cannotListen(path: string, error: unknown): SkeinError {
  const reason = asSkeinError(error).message;
  return new SkeinError('disk-failed', `can't listen on ${path} (${reason}); check its directory's permissions`, {
    cause: error,
  });
}
