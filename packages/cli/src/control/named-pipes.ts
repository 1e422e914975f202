import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

import { createSecretFile, readSecretFile, removeFile } from '@skein/mesh';

import { connect, type ControlTransport } from './transport.ts';

const secretBytes = 32;
const challengeBytes = 32;
const proofBytes = 32;

export interface NamedPipesOptions {
  /** Returns the address of the pipe with a name. Default: that of Windows. */
  readonly addressOf?: (name: string) => string;
  /** Longest time for a challenge or its proof to come, in milliseconds. Default: 10,000. */
  readonly timeoutMs?: number;
}

/**
 * Makes a transport over named pipes, which anybody on the machine may create and list. Each daemon makes a secret, and
 * keeps it in a file at the path, which only its owner can read. The pipe's name is derived from it, so nobody can take
 * it beforehand; and the daemon proves on each connection that it knows the secret, before anything is said to it. A
 * user who has seen the name in the list of pipes, and takes it when the daemon is gone, can't, and counts as nobody.
 * Silence is an error: a daemon may be too busy to answer.
 *
 * The pipe itself has the access list that Windows gives it: other users may not write to it.
 */
export function namedPipes({
  addressOf = (name) => String.raw`\\.\pipe\skein-${name}`,
  timeoutMs = 10_000,
}: NamedPipesOptions = {}): ControlTransport {
  return {
    async listen(server, path) {
      const secret = randomBytes(secretBytes);
      const receive = async (socket: Socket): Promise<void> => {
        if (await admit(socket, { secret, timeoutMs })) server.emit('connection', socket);
      };
      const pipe = createServer({ allowHalfOpen: true }, (socket) => void receive(socket));
      pipe.maxConnections = server.maxConnections;
      pipe.listen(addressOf(nameFrom(secret)));
      await once(pipe, 'listening');
      const isOurs = await createSecretFile(path, Buffer.from(secret.toString('hex'))).catch((error: unknown) => {
        pipe.close();
        throw error;
      });
      if (!isOurs) {
        pipe.close();
        return undefined;
      }
      return {
        async [Symbol.asyncDispose]() {
          // As long as the pipe is there, the file is ours: nobody replaces it.
          await removeFile(path).finally(() => pipe.close());
        },
      };
    },
    async dial(path) {
      const secret = await readSecret(path);
      if (secret === undefined) return undefined;
      const socket = await connect(addressOf(nameFrom(secret)));
      if (socket === undefined) return undefined;
      try {
        const challenge = randomBytes(challengeBytes);
        socket.write(challenge);
        const proof = await take(socket, { count: proofBytes, timeoutMs });
        if (proof !== undefined && timingSafeEqual(proof, proofOf(secret, challenge))) return socket;
      } catch (error) {
        socket.destroy();
        throw error;
      }
      socket.destroy();
      return undefined;
    },
  };
}

/** Proves to a caller that this daemon knows the secret. Returns whether the caller asked for that; closes others. Never throws. */
async function admit(
  socket: Socket,
  { secret, timeoutMs }: { readonly secret: Uint8Array; readonly timeoutMs: number },
): Promise<boolean> {
  // Those who ask keep nothing running, and may leave at any time.
  socket.unref();
  socket.on('error', () => undefined);
  const challenge = await take(socket, { count: challengeBytes, timeoutMs }).catch(() => undefined);
  if (challenge === undefined) socket.destroy();
  else socket.write(proofOf(secret, challenge));
  return challenge !== undefined;
}

/**
 * Takes so many bytes from a socket, which is all that may come; undefined when others come, or it ends before.
 *
 * @throws Error with the code `ETIMEDOUT` when they do not come in time
 */
async function take(
  socket: Socket,
  { count, timeoutMs }: { readonly count: number; readonly timeoutMs: number },
): Promise<Buffer | undefined> {
  const timeout = AbortSignal.timeout(timeoutMs);
  let taken = Buffer.alloc(0);
  while (taken.byteLength < count) {
    if (!(await isReadable(socket, timeout))) return undefined;
    taken = Buffer.concat([taken, (socket.read() as Buffer | null) ?? Buffer.alloc(0)]);
  }
  return taken.byteLength === count ? taken : undefined;
}

/**
 * Waits until a socket has bytes to read; false when it is over.
 *
 * @throws Error with the code `ETIMEDOUT` when the signal aborts
 */
async function isReadable(socket: Socket, timeout: AbortSignal): Promise<boolean> {
  if (socket.destroyed || socket.readableEnded) return false;
  const over = new AbortController();
  const signal = AbortSignal.any([timeout, over.signal]);
  try {
    await Promise.race(['readable', 'end', 'close'].map(async (event) => await once(socket, event, { signal })));
    return socket.readableLength > 0;
  } catch {
    if (timeout.aborted) throw Object.assign(new Error('no answer in time'), { code: 'ETIMEDOUT' });
    return false;
  } finally {
    over.abort();
  }
}

/** Reads the secret of the daemon at a path; undefined when there is none. */
async function readSecret(path: string): Promise<Uint8Array | undefined> {
  const text = Buffer.from((await readSecretFile(path)) ?? '').toString('utf8');
  return new RegExp(`^[0-9a-f]{${2 * secretBytes}}$`).test(text) ? Buffer.from(text, 'hex') : undefined;
}

function nameFrom(secret: Uint8Array): string {
  return createHmac('sha256', secret).update('skein control pipe').digest('hex').slice(0, 32);
}

function proofOf(secret: Uint8Array, challenge: Uint8Array): Buffer {
  return createHmac('sha256', secret).update('skein control proof').update(challenge).digest();
}
