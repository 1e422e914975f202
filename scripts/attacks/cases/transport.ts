import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';

import { methods } from '@skein/protocol';

import type { Attack, Target } from '../attack.ts';
import { startAttacker } from '../attacker.ts';
import { untilCutOff } from './joining.ts';

/** An address of this machine that members do not use, so that attackers use up only their own limits. */
const localAddress = process.platform === 'linux' ? '127.0.0.66' : '127.0.0.1';

async function dial({ port }: Target): Promise<Socket> {
  const socket = connect({ port, host: '127.0.0.1', localAddress });
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  // Reads to the end, so that the end is noticed.
  socket.resume();
  return socket;
}

/** Sends bytes over plain TCP, and waits until the connection is cut off. */
async function send(target: Target, bytes: Uint8Array | string): Promise<void> {
  const socket = await dial(target);
  socket.write(bytes);
  await untilClosed(socket);
}

async function untilClosed(socket: Socket): Promise<void> {
  const closed = Promise.withResolvers<void>();
  socket.on('close', () => closed.resolve());
  const timer = setTimeout(() => closed.reject(new Error('still connected after ten seconds')), 10_000);
  if (!socket.destroyed) await closed.promise;
  clearTimeout(timer);
}

/** Attempts before admission: bytes and connections. */
export const transport: readonly Attack[] = [
  { name: 'nothing at all, over TCP', run: async (target) => await send(target, '') },
  { name: 'random bytes over TCP', run: async (target) => await send(target, randomBytes(65_536)) },
  {
    name: 'a request for a web page',
    run: async (target) => await send(target, 'GET / HTTP/1.1\r\nHost: skein\r\n\r\n'),
  },
  {
    name: 'the beginning of a Noise handshake, and then nothing',
    run: async (target) => await send(target, Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n\x00\x20', 'latin1')),
  },
  {
    name: 'a handshake one byte a time',
    run: async (target) => {
      const socket = await dial(target);
      const closed = untilClosed(socket);
      const timer = setInterval(() => socket.write('\x13'), 200);
      await closed.finally(() => clearInterval(timer));
    },
  },
  {
    name: 'a flood of two hundred connections that say nothing',
    run: async (target) => {
      const sockets = await Promise.all(Array.from({ length: 200 }, async () => await dial(target)));
      await Promise.all(sockets.map(untilClosed));
    },
  },
  {
    name: 'a flood of handshakes that stop half way',
    run: async (target) => {
      const half = Buffer.from('\x13/multistream/1.0.0\n\x07/noise\n', 'latin1');
      await Promise.all(Array.from({ length: 100 }, async () => await send(target, half)));
    },
  },
  {
    name: 'a host that passes Noise and then says nothing',
    logged: /refused in the handshake/,
    run: async (target) => {
      await using attacker = await startAttacker(target);
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'a handshake that is opened and left',
    run: async (target) => {
      await using attacker = await startAttacker(target);
      await attacker.openBytes(methods.handshake);
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'a frame in the handshake that says it has four gigabytes',
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const bytes = await attacker.openBytes(methods.handshake);
      await bytes.write(new Uint8Array(8).fill(0xff));
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'garbage in the handshake',
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const bytes = await attacker.openBytes(methods.handshake);
      await bytes.write(Buffer.concat([Uint8Array.of(60, 0, 0, 0, 50, 0, 0, 0), randomBytes(56)]));
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'a hundred streams before the handshake',
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const streams = Array.from({ length: 100 }, async () => await attacker.openBytes(methods.join));
      await Promise.allSettled(streams);
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'a hundred kilobytes before the handshake',
    logged: /too many bytes before the handshake/,
    run: async (target) => {
      await using attacker = await startAttacker(target);
      const bytes = await attacker.openBytes(methods.join);
      await bytes.write(new Uint8Array(100_000).fill(0xff)).catch(() => undefined);
      await untilCutOff(attacker.isConnected);
    },
  },
  {
    name: 'forty hosts at once',
    run: async (target) => {
      const attempts = Array.from({ length: 40 }, async () => {
        await using attacker = await startAttacker(target);
        await untilCutOff(attacker.isConnected);
      });
      // Some are not even let to the handshake, which is a refusal as well.
      await Promise.allSettled(attempts);
    },
  },
];
