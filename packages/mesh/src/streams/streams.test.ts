import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import { encodeFrame, FrameParser, methods } from '@skein/protocol';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';

import type { StreamHandler } from '../connections/serve.ts';
import type { Mesh } from '../mesh.ts';
import { Cluster } from '../testing/cluster.ts';
import type { FrameStream } from './frame-stream.ts';

let cluster: Cluster;
let first: Mesh;
let second: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  first = await cluster.add();
  second = await cluster.add([first]);
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

/** Serves the manifest method at `first` and opens it from `second`. */
async function call(handler: StreamHandler): Promise<FrameStream> {
  first.handle(methods.manifest, handler);
  return await second.open(first.peerId, methods.manifest);
}

const echo: StreamHandler = async (stream) => {
  for await (const { header, payload } of stream) await stream.write({ type: 'echo', header }, payload);
};

test('carries frames larger than the window unchanged', async () => {
  const stream = await call(echo);
  const payload = Uint8Array.from({ length: 3_000_000 }, (_, index) => index % 251);
  await Promise.all([stream.write({ type: 'large' }, payload), stream.end()]);
  const frame = await stream.read();
  expect(Buffer.compare(frame?.payload ?? new Uint8Array(), payload)).toBe(0);
  expect(await stream.read()).toBeUndefined();
});

test('keeps tiny chunks that wait for a reader together', async () => {
  const [sent, counted] = [Promise.withResolvers<void>(), Promise.withResolvers<{ chunks: number; bytes: number }>()];
  first.handle(methods.stage, echo);
  const stream = await call(async (served) => {
    await sent.promise;
    let [chunks, bytes] = [0, 0];
    for await (const chunk of served.detach().readable) [chunks, bytes] = [chunks + 1, bytes + chunk.byteLength];
    counted.resolve({ chunks, bytes });
  });
  const raw = stream.detach();
  for (let count = 0; count < 5000; count++) await raw.write(Uint8Array.of(count % 251));
  const ended = raw.end();
  // On the same connection, so that what came before has arrived when this is answered.
  const later = await second.open(first.peerId, methods.stage);
  await later.write({ type: 'ping' });
  await later.read();
  sent.resolve();
  const { chunks, bytes } = await counted.promise;
  expect(bytes).toBe(5000);
  expect(chunks).toBeLessThan(100);
  await ended;
});

test('tells a stream whose connection was killed from one that ended', async () => {
  const started = Promise.withResolvers<AbortSignal>();
  const stream = await call(async (served, { signal }) => {
    await served.write({ type: 'part' });
    started.resolve(signal);
    await served.read();
  });
  expect((await stream.read())?.header).toEqual({ type: 'part' });
  const remoteSignal = await started.promise;
  const pending = stream.read();
  await first.stop();
  await expect(pending).rejects.toMatchObject({ code: 'peer-lost' });
  await expect(stream.write({ type: 'more' })).rejects.toMatchObject({ code: 'peer-lost' });
  expect(stream.lost.aborted).toBe(true);
  expect(remoteSignal.aborted).toBe(true);
});

test('calls a stream lost when the machine on the other side goes away without a word', async () => {
  // Between the two, so that the sockets die under libp2p's feet, as they do when a process is killed.
  const sockets: Socket[] = [];
  const port = Number(/tcp\/(\d+)/.exec(first.addresses()[0] ?? '')?.[1]);
  const proxy = createServer((inbound) => {
    const outbound = connect(port, '127.0.0.1');
    inbound
      .on('error', () => undefined)
      .pipe(outbound.on('error', () => undefined))
      .pipe(inbound);
    sockets.push(inbound, outbound);
  });
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  const proxyPort = (proxy.address() as AddressInfo).port;
  try {
    first.handle(methods.manifest, async (served) => {
      await served.write({ type: 'part' });
      await served.read();
    });
    const third = await cluster.add([], { peers: [`/ip4/127.0.0.1/tcp/${proxyPort}/p2p/${first.peerId}`] });
    const stream = await third.open(first.peerId, methods.manifest);
    expect((await stream.read())?.header).toEqual({ type: 'part' });
    const pending = stream.read();
    for (const socket of sockets) socket.destroy();
    await expect(pending).rejects.toMatchObject({ code: 'peer-lost' });
  } finally {
    proxy.close();
  }
});

test('delivers all that was sent before a clean end, also to a slow reader', async () => {
  const frames = 200;
  const payload = new Uint8Array(16 * 1024);
  const stream = await call(async (served) => {
    for (let index = 0; index < frames; index++) await served.write({ index }, payload);
  });
  await stream.end();
  let expected = 0;
  for await (const { header } of stream) {
    expect(header).toEqual({ index: expected });
    expected += 1;
    await new Promise(setImmediate);
  }
  expect(expected).toBe(frames);
});

test('makes a writer wait for a slow reader instead of queueing', async () => {
  const chunk = new Uint8Array(256 * 1024);
  const written = { bytes: 0, mostUnsent: 0 };
  const stalled = Promise.withResolvers<void>();
  let lastProgress = 0;
  const stream = await call(async (served) => {
    const watch = setInterval(() => {
      if (written.bytes > 0 && written.bytes === lastProgress) stalled.resolve();
      lastProgress = written.bytes;
    }, 100);
    try {
      for (let index = 0; index < 100; index++) {
        await served.write({ index }, chunk);
        written.bytes += chunk.byteLength;
        written.mostUnsent = Math.max(written.mostUnsent, served.unsentBytes);
      }
    } finally {
      clearInterval(watch);
    }
  });
  // Nobody reads until the writer has come to a halt.
  await stalled.promise;
  const halted = written.bytes;
  expect(halted).toBeLessThan(4 * 1024 * 1024);
  let received = 0;
  for await (const { payload } of stream) received += payload.byteLength;
  expect(received).toBe(100 * chunk.byteLength);
  expect(written.mostUnsent).toBeLessThan(1024 * 1024);
});

test.each([
  ['garbage', 'frame-too-large', new Uint8Array(64).fill(0xee)],
  ['a frame over the limit', 'frame-too-large', Uint8Array.from([0xff, 0xff, 0xff, 0x7f, 1, 2, 3])],
  ['a header longer than its frame', 'protocol-violation', Uint8Array.from([5, 0, 0, 0, 200, 0, 0, 0, 1])],
  ['half a frame', 'protocol-violation', encodeFrame({ type: 'half' }).subarray(0, 9)],
])('refuses %s with a reason, and goes on serving other streams', async (_, code, bytes) => {
  first.handle(methods.stage, echo);
  const stream = await call(echo);
  const other = await second.open(first.peerId, methods.stage);
  const raw = stream.detach();
  await raw.write(bytes);
  await raw.end();
  const received: Uint8Array[] = [];
  for await (const chunk of raw.readable) received.push(chunk);
  const [frame] = new FrameParser().push(Buffer.concat(received));
  expect(frame?.header).toMatchObject({ type: 'stream-error', error: { code } });
  await other.write({ type: 'still there' });
  expect((await other.read())?.header).toMatchObject({ type: 'echo' });
});

test('aborts a read that takes too long or is no longer wanted, and loses nothing', async () => {
  const stream = await call(echo);
  await expect(stream.read({ timeoutMs: 20 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
  const controller = new AbortController();
  const pending = stream.read({ signal: controller.signal });
  controller.abort();
  await expect(pending).rejects.toMatchObject({ code: 'aborted' });
  await stream.write({ type: 'still' });
  expect((await stream.read())?.header).toEqual({ type: 'echo', header: { type: 'still' } });
});

test('tells the handler at once when the caller leaves its loop', async () => {
  const gone = Promise.withResolvers<void>();
  const stream = await call(async (served, { signal }) => {
    signal.addEventListener('abort', () => gone.resolve());
    await served.write({ type: 'first' });
    await gone.promise;
  });
  for await (const frame of stream) {
    expect(frame.header).toEqual({ type: 'first' });
    break;
  }
  await gone.promise;
});

test('refuses streams over the limit of their method with a reason', async () => {
  const release = Promise.withResolvers<void>();
  first.handle(methods.manifest, async (stream) => {
    await stream.write({ type: 'open' });
    await release.promise;
  });
  const open = async (): Promise<FrameStream> => await second.open(first.peerId, methods.manifest);
  for (let count = 0; count < methods.manifest.maxInboundStreams; count++) {
    expect((await (await open()).read())?.header).toEqual({ type: 'open' });
  }
  await expect((await open()).read()).rejects.toMatchObject({ code: 'overloaded' });
  release.resolve();
});

test('holds no more of what one member has begun to send than there is room for', async () => {
  const reads: Promise<unknown>[] = [];
  const over = new AbortController();
  first.handle(methods.ring, async (stream) => {
    // Longer than the method allows for a first frame: a machine with much to do takes that long.
    const read = stream.read({ signal: over.signal, timeoutMs: 60_000 });
    reads.push(read);
    await read;
  });
  const size = 39 * 1024 * 1024;
  const begun = new Uint8Array(size);
  new DataView(begun.buffer).setUint32(0, size, true);
  const writes = Array.from({ length: 6 }, async () => {
    const stream = await second.open(first.peerId, methods.ring);
    // All but the last bytes of a frame.
    await stream.detach().write(begun);
  });
  const written = Promise.allSettled(writes);
  const received = (): number => first.traffic().peers.get(second.peerId)?.receivedBytes ?? 0;
  const least = 100 * 1024 * 1024;
  let before = -1;
  await vi.waitUntil(
    () => {
      // Cards and heartbeats go on.
      const isStill = reads.length === writes.length && received() - before < 64 * 1024;
      before = received();
      // A machine with much to do may make it look still earlier.
      return isStill && before > least;
    },
    { timeout: 40_000, interval: 500 },
  );
  expect(received()).toBeGreaterThan(least);
  expect(received()).toBeLessThan(135 * 1024 * 1024);
  over.abort();
  await Promise.all([first.stop(), written]);
});

test('goes on without frames, starting with what was received but not read', async () => {
  const stream = await call(async (served) => {
    await served.write({ type: 'accepted' });
    for (let index = 0; index < 50; index++) await served.write({ index }, new Uint8Array(1000));
  });
  expect((await stream.read())?.header).toEqual({ type: 'accepted' });
  let bytes = 0;
  const raw = stream.detach();
  for await (const chunk of raw.readable) bytes += chunk.byteLength;
  const expected = Array.from({ length: 50 }, (_, index) => encodeFrame({ index }, new Uint8Array(1000)).byteLength);
  expect(bytes).toBe(expected.reduce((sum, length) => sum + length, 0));
  await raw.end();
});
