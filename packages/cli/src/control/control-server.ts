import type { Server } from 'node:http';
import type { Socket } from 'node:net';

import { createAppServer, createLocalApp, type AdminHandlers, type LocalAppComponents } from '@skein/coordinator';
import { removeFile, renameFile } from '@skein/mesh';
import { asSkeinError, isSkeinError, SkeinError } from '@skein/protocol';

import { dialControl } from './control-client.ts';
import { ownTransport } from './own-transport.ts';
import type { ControlTransport } from './transport.ts';

/**
 * Takes the control socket of a data directory, so that one daemon runs there, and serves the admin contract on it,
 * with the coordinator's API where there is one. Replaces a socket that a killed daemon left. Disposing gives the
 * socket up at once; connections that wait for the end of the process stay open until then.
 *
 * @throws SkeinError `already-running` when a daemon answers there
 */
export async function openControlServer(
  path: string,
  components: LocalAppComponents,
  transport: ControlTransport = ownTransport,
): Promise<AsyncDisposable> {
  const server = createAppServer(createLocalApp(components));
  // Those who ask keep nothing running.
  server.on('connection', (socket: Socket) => socket.unref());
  return await claim(server, path, transport);
}

/**
 * Makes the handler of requests to stop: it reports the process that stops, begins that, and never ends. So the caller
 * learns from the end of the connection that the process is gone.
 *
 * @param stop begins to stop; must not wait for it
 */
export function stopHandler(stop: () => void): AdminHandlers<'local'>['stop'] {
  return async (_, { onEvent }) => {
    onEvent({ pid: process.pid });
    stop();
    return await new Promise<never>(() => undefined);
  };
}

async function claim(server: Server, path: string, transport: ControlTransport): Promise<AsyncDisposable> {
  for (let attempt = 1; ; attempt += 1) {
    const listening = await transport.listen(server, path).catch((error: unknown) => {
      throw cannotListen(path, error);
    });
    if (listening !== undefined) return listening;
    if (attempt === 3) throw cannotListen(path, new Error('somebody takes it again and again'));
    await assertNobodyAnswers(path, transport);
    // Out of the way first, and looked at again there: what is removed must not be a socket that another starter has just
    // made at the old place.
    const aside = `${path}.old`;
    await renameFile(path, aside).catch(() => undefined);
    try {
      await assertNobodyAnswers(aside, transport);
    } catch (error) {
      await renameFile(aside, path);
      throw error;
    }
    await removeFile(aside);
  }
}

async function assertNobodyAnswers(path: string, transport: ControlTransport): Promise<void> {
  const socket = await dialControl(path, transport);
  if (socket === undefined) return;
  socket.destroy();
  throw new SkeinError(
    'already-running',
    'Skein runs here already; stop it with `skein stop`, or use another --data directory',
  );
}

function cannotListen(path: string, error: unknown): SkeinError {
  if (isSkeinError(error)) return error;
  const reason = asSkeinError(error).message;
  return new SkeinError('disk-failed', `can't listen on ${path} (${reason}); check its directory's permissions`, {
    cause: error,
  });
}
