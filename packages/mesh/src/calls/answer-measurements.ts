import {
  measureLimits,
  measureProbeSchema,
  methods,
  parseHeader,
  SkeinError,
  type Frame,
  type MeasureEcho,
} from '@skein/protocol';

import type { Mesh } from '../mesh.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import { waitSignal } from '../streams/wait.ts';

export interface AnswerMeasurementsOptions {
  /** Tells whether this member is busy: a measurement would disturb its work, and be wrong. */
  readonly isBusy: () => boolean;
  /** Longest time of one measurement, in milliseconds. Default 15,000. */
  readonly timeoutMs?: number;
}

/**
 * Lets other members measure their link to this one, until it is disposed: one at a time, within {@link measureLimits}.
 * Every frame is answered by one of a few bytes, so nobody gets more out of it than goes in.
 */
export function answerMeasurements(mesh: Pick<Mesh, 'handle'>, options: AnswerMeasurementsOptions): Disposable {
  const { isBusy, timeoutMs = 15_000 } = options;
  let isMeasured = false;
  return mesh.handle(methods.measure, async (stream) => {
    if (isMeasured || isBusy()) throw new SkeinError('overloaded', 'this member is busy; measure the link later');
    isMeasured = true;
    try {
      await answerProbes(stream, timeoutMs);
    } finally {
      isMeasured = false;
    }
  });
}

async function answerProbes(stream: FrameStream, timeoutMs: number): Promise<void> {
  const signal = waitSignal({ signal: stream.lost, timeoutMs });
  const left = { probes: measureLimits.maxProbes, bytes: measureLimits.maxBytes };
  for (let frame = await stream.read({ signal }); frame !== undefined; frame = await stream.read({ signal })) {
    const bytes = probeBytes(frame);
    left.probes -= 1;
    left.bytes -= bytes;
    if (left.probes < 0 || left.bytes < 0) {
      throw new SkeinError('protocol-violation', 'more probes than one measurement may send');
    }
    await stream.write({ type: 'measure-echo', bytes } satisfies MeasureEcho, undefined, { signal });
  }
}

function probeBytes({ header, payload }: Frame): number {
  parseHeader(measureProbeSchema, header);
  if (payload.byteLength <= measureLimits.maxProbeBytes) return payload.byteLength;
  throw new SkeinError('frame-too-large', `a probe may hold ${measureLimits.maxProbeBytes} bytes`);
}
