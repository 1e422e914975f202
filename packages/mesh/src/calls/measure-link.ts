import { setTimeout as delay } from 'node:timers/promises';

import {
  invariant,
  measureEchoSchema,
  measureLimits,
  methods,
  parseHeader,
  SkeinError,
  type MeasureProbe,
} from '@skein/protocol';

import type { Mesh } from '../mesh.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import { waitSignal } from '../streams/wait.ts';

/** A measured link to another member. */
export interface LinkMeasurement {
  /** Time from a small frame to its answer, in milliseconds: the median of five. */
  readonly roundTripMs: number;
  /** Throughput towards the other member. */
  readonly bytesPerSecond: number;
}

export interface MeasureLinkOptions {
  readonly signal?: AbortSignal | undefined;
  /** Longest wait for the whole, in milliseconds. Default 10,000: a link that takes longer is of no use to a ring. */
  readonly timeoutMs?: number;
  /** Returns the milliseconds of a monotonic clock. Default: `performance.now`. */
  readonly now?: () => number;
}

const roundTrips = 5;
/** Pause behind each, in milliseconds: a ring's frames find both ends asleep, too, while another stage computes. */
const pauseMs = 15;
/** Probes of a stream that do not count: the first one also pays for setting up its path. */
const warmUps = 1;
/** Time that a train may not exceed, in milliseconds: one that would probably end later is not begun. */
const bulkMs = 300;
const bulk = new Uint8Array(measureLimits.maxProbeBytes);

/**
 * Measures the link to a member that serves. Costs at most 2 MiB, and on slow links much less: the bulk goes in trains
 * that are twice as long each time, and ends before they take longer than 300 ms together.
 *
 * @throws SkeinError the member's own error, such as `overloaded` while it computes; `peer-lost`, `protocol-violation`,
 * `deadline-exceeded`, `aborted`
 */
export async function measureLink(
  mesh: Pick<Mesh, 'open'>,
  peerId: string,
  options: MeasureLinkOptions = {},
): Promise<LinkMeasurement> {
  const { now = () => performance.now() } = options;
  const timeoutMs = options.timeoutMs ?? 10_000;
  const signal = waitSignal({ signal: options.signal, timeoutMs }) ?? AbortSignal.timeout(timeoutMs);
  await using stream = await mesh.open(peerId, methods.measure, { signal });
  const trip = async (probes: number, payload: Uint8Array): Promise<number> => {
    const startedAtMs = now();
    await exchange(stream, { probes, payload }, signal);
    return now() - startedAtMs;
  };

  const tripsMs: number[] = [];
  for (let count = 0; count < warmUps + roundTrips; count += 1) {
    tripsMs.push(await trip(1, bulk.subarray(0, 0)));
    await delay(pauseMs, undefined, { signal });
  }
  const roundTripMs = median(tripsMs.slice(warmUps));
  const bytesPerSecond = await measureBandwidth(async (probes) => await trip(probes, bulk), roundTripMs);
  await stream.end({ signal });
  // The stream ends cleanly when nothing follows the answers.
  if ((await stream.read({ signal })) !== undefined) {
    throw new SkeinError('protocol-violation', 'answered more probes than were sent');
  }
  return { roundTripMs, bytesPerSecond };
}

/** Measures the bandwidth. The longest train decides: in it the round trip weighs least. */
async function measureBandwidth(sendTrain: (probes: number) => Promise<number>, roundTripMs: number): Promise<number> {
  let spentMs = 0;
  let sentBytes = 0;
  let bytesPerSecond = 0;
  for (let probes = 1; ; probes *= 2) {
    const trainBytes = probes * bulk.byteLength;
    sentBytes += trainBytes;
    const tookMs = await sendTrain(probes);
    spentMs += tookMs;
    // A round trip that is shorter than usual must not make the rest of the time vanish.
    const transferMs = Math.max(tookMs - roundTripMs, tookMs / 2, Number.EPSILON);
    bytesPerSecond = Math.min(Math.round((trainBytes / transferMs) * 1000), Number.MAX_SAFE_INTEGER);
    const nextMs = 2 * transferMs + roundTripMs;
    if (sentBytes + 2 * trainBytes > measureLimits.maxBytes || spentMs + nextMs > bulkMs) return bytesPerSecond;
  }
}

/** Sends probes back to back and waits for all their answers. */
async function exchange(
  stream: FrameStream,
  { probes, payload }: { readonly probes: number; readonly payload: Uint8Array },
  signal: AbortSignal,
): Promise<void> {
  const probe: MeasureProbe = { type: 'measure-probe' };
  for (let count = 0; count < probes; count += 1) await stream.write(probe, payload, { signal });
  for (let count = 0; count < probes; count += 1) {
    const frame = await stream.read({ signal });
    if (frame === undefined) throw new SkeinError('peer-lost', 'the member ended the measurement early');
    const { bytes } = parseHeader(measureEchoSchema, frame.header);
    if (bytes === payload.byteLength && frame.payload.byteLength === 0) continue;
    throw new SkeinError('protocol-violation', 'answered another probe than the one that was sent');
  }
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((left, right) => left - right);
  return invariant(sorted[Math.floor(sorted.length / 2)], 'something was measured');
}
