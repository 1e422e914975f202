import type { Connection, Stream } from '@libp2p/interface';
import type { Libp2p } from 'libp2p';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import { createIdentity } from '../../identity/identity.ts';
import { createHost } from './create-host.ts';

const protocol = '/test/1';
const frame = new Uint8Array(1000).fill(7);

let stack: AsyncDisposableStack;
beforeEach(() => {
  stack = new AsyncDisposableStack();
});
afterEach(async () => {
  vi.unstubAllGlobals();
  await stack.disposeAsync();
});

async function start(): Promise<Libp2p> {
  const { privateKey } = await createIdentity();
  const host = await createHost({ privateKey, listen: ['/ip4/127.0.0.1/tcp/0'] });
  stack.defer(async () => await host.stop());
  await host.start();
  return host;
}

interface Link {
  readonly connection: Connection;
  readonly stream: Stream;
  /** Bytes that the other host has read from the stream. */
  readonly read: () => number;
  /** Messages that came from the other host, on any stream. */
  readonly answers: () => number;
}

/** A stream over which one host sends and another one reads. */
async function link(): Promise<Link> {
  const [sender, reader] = [await start(), await start()];
  let [read, answers] = [0, 0];
  await reader.handle(protocol, (stream) => {
    stream.addEventListener('message', ({ data }) => {
      read += data.byteLength;
    });
  });
  const connection = await sender.dial(reader.getMultiaddrs());
  const stream = await connection.newStream(protocol);
  const { muxer } = connection as unknown as { muxer: { maConn: EventTarget } };
  muxer.maConn.addEventListener('message', () => {
    answers += 1;
  });
  return { connection, stream, read: () => read, answers: () => answers };
}

async function send({ stream, read }: Link, frames: number): Promise<void> {
  const due = read() + frames * frame.byteLength;
  for (let sent = 0; sent < frames; sent += 1) {
    if (!stream.send(frame)) await new Promise((resolve) => stream.addEventListener('drain', resolve, { once: true }));
  }
  await expect.poll(read, { timeout: 10_000 }).toBe(due);
}

test('what is read is told when a quarter of the window is used up, not after each frame', async () => {
  const subject = await link();
  await send(subject, 1);
  const before = subject.answers();
  await send(subject, 100);
  expect(subject.answers() - before).toBeLessThan(5);
  // More than two windows: the sender hears in time that it may go on.
  await send(subject, 600);
  expect(subject.answers() - before).toBeGreaterThan(5);
});

test('no error is made for the end of each message', async () => {
  const subject = await link();
  await send(subject, 1);
  let made = 0;
  const counting = () => {
    made += 1;
  };
  vi.stubGlobal(
    'RangeError',
    new Proxy(RangeError, {
      apply: (target, self, given: [string]) => {
        counting();
        return Reflect.apply(target, self, given);
      },
      construct: (target, given: [string]) => {
        counting();
        return Reflect.construct(target, given);
      },
    }),
  );
  await send(subject, 20);
  expect(made).toBe(0);
});
