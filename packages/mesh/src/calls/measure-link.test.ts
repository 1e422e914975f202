import { measureLimits, methods } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import type { StreamHandler } from '../connections/serve.ts';
import type { Mesh } from '../mesh.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import { Cluster } from '../testing/cluster.ts';
import { answerMeasurements } from './answer-measurements.ts';
import { measureLink } from './measure-link.ts';

let cluster: Cluster;
let near: Mesh;
let far: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  far = await cluster.add();
  near = await cluster.add([far]);
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

const probe = { type: 'measure-probe' };
const sentBytes = (): number => near.traffic().peers.get(far.peerId)?.sentBytes ?? 0;

/** Echoes like the real one does; `change` may lie. */
const echoing =
  (change: (bytes: number) => object = () => ({})): StreamHandler =>
  async (stream) => {
    for await (const { payload } of stream) {
      const bytes = payload.byteLength;
      await stream.write({ type: 'measure-echo', bytes, ...change(bytes) });
    }
  };

test('measures a link over loopback, with no more than two mebibytes', async () => {
  using _answering = answerMeasurements(far, { isBusy: () => false });
  const before = sentBytes();
  const { roundTripMs, bytesPerSecond } = await measureLink(near, far.peerId);
  expect(roundTripMs).toBeGreaterThan(0);
  expect(bytesPerSecond).toBeGreaterThan(0);
  expect(Number.isFinite(bytesPerSecond)).toBe(true);
  // Probes' frames have headers, besides.
  expect(sentBytes() - before).toBeLessThan(measureLimits.maxBytes + 64 * 1024);
});

test('takes the median round trip and the rate of the longest train, and sends little over a slow link', async () => {
  let nowMs = 0;
  // A link of 100 ms and 1 MiB/s, except for one round trip that was held up.
  const roundTripsMs = [900, 100, 100, 5000, 100, 100];
  let probes = 0;
  const sizes: number[] = [];
  far.handle(
    methods.measure,
    echoing((bytes) => {
      sizes.push(bytes);
      nowMs += bytes === 0 ? (roundTripsMs[probes++] ?? 0) : (bytes / 2 ** 20) * 1000;
      return {};
    }),
  );
  const measured = await measureLink(near, far.peerId, {
    now: () => (sizes.length === 0 || sizes.at(-1) === 0 ? nowMs : nowMs + 100 * trainsOf(sizes)),
  });
  expect(measured.roundTripMs).toBe(100);
  expect(measured.bytesPerSecond).toBeGreaterThan(0.5 * 2 ** 20);
  expect(measured.bytesPerSecond).toBeLessThan(1.5 * 2 ** 20);
  expect(sizes.filter((bytes) => bytes > 0).length).toBeLessThanOrEqual(3);
});

/** Counts the answered trains of 1, 2, 4... full probes. */
function trainsOf(sizes: readonly number[]): number {
  return Math.floor(Math.log2(sizes.filter((bytes) => bytes > 0).length + 1));
}

test.each([
  ['another length', { bytes: 7 }],
  ['a length beyond all bounds', { bytes: 1e12 }],
  ['something else', { type: 'measure-probe' }],
])('takes no answer that says %s', async (_, change) => {
  far.handle(
    methods.measure,
    echoing(() => change),
  );
  await expect(measureLink(near, far.peerId)).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('gives up on a member that does not answer, or stops to', async () => {
  const silent = Promise.withResolvers<void>();
  using handler = far.handle(methods.measure, async () => await silent.promise);
  await expect(measureLink(near, far.peerId, { timeoutMs: 50 })).rejects.toMatchObject({ code: 'deadline-exceeded' });
  silent.resolve();
  handler[Symbol.dispose]();
  far.handle(methods.measure, async (stream) => void (await stream.read()));
  await expect(measureLink(near, far.peerId)).rejects.toMatchObject({ code: 'peer-lost' });
});

test('is not measured while it is busy', async () => {
  let isBusy = true;
  using _answering = answerMeasurements(far, { isBusy: () => isBusy });
  await expect(measureLink(near, far.peerId)).rejects.toMatchObject({ code: 'overloaded' });
  isBusy = false;
  expect(await measureLink(near, far.peerId)).toBeDefined();
});

test('is measured by one member at a time, and no longer than a deadline', async () => {
  using _answering = answerMeasurements(far, { isBusy: () => false, timeoutMs: 2000 });
  const other = await cluster.add([far]);
  const holding = await other.open(far.peerId, methods.measure);
  await holding.write(probe);
  await holding.read();
  await expect(measureLink(near, far.peerId)).rejects.toMatchObject({ code: 'overloaded' });
  await expect(holding.read()).rejects.toMatchObject({ code: 'deadline-exceeded' });
  expect(await measureLink(near, far.peerId)).toBeDefined();
});

/** Writes frames to the far member and resolves with its refusal; undefined when there is none. */
async function refusalOf(frames: readonly (readonly [object, number])[]): Promise<unknown> {
  const stream = await near.open(far.peerId, methods.measure);
  // The refusal may cut the writing short.
  const writing = writeAll(stream, frames).catch(() => undefined);
  try {
    for await (const _ of stream);
    return undefined;
  } catch (error) {
    return error;
  } finally {
    stream.abort();
    await writing;
  }
}

async function writeAll(stream: FrameStream, frames: readonly (readonly [object, number])[]): Promise<void> {
  for (const [header, bytes] of frames) await stream.write(header, new Uint8Array(bytes));
}

const { maxProbeBytes, maxProbes, maxBytes } = measureLimits;
test.each([
  ['garbage', [[{ type: 'measure-everything' }, 0]], 'protocol-violation'],
  ['a probe that is too long', [[probe, maxProbeBytes + 1]], 'frame-too-large'],
  ['a frame that is too long', [[probe, maxProbeBytes + 2048]], 'frame-too-large'],
  ['too many probes', Array.from({ length: maxProbes + 1 }, () => [probe, 0]), 'protocol-violation'],
  [
    'too many bytes',
    Array.from({ length: maxBytes / maxProbeBytes + 1 }, () => [probe, maxProbeBytes]),
    'protocol-violation',
  ],
] as [string, [object, number][], string][])('refuses %s, and goes on serving', async (_, frames, code) => {
  using _answering = answerMeasurements(far, { isBusy: () => false });
  expect(await refusalOf(frames)).toMatchObject({ code });
  await expect.poll(async () => await measureLink(near, far.peerId).catch(() => undefined)).toBeDefined();
});
