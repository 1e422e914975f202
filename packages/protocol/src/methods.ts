import { limits } from './limits.ts';
import { measureLimits } from './mesh/measure.ts';

/** One protocol between members, as data. Everything that speaks or answers it takes its bounds from here. */
export interface Method {
  /** libp2p protocol id: `/skein/<method>/<major>`. */
  readonly id: string;
  /** Longest frame that either side may send. */
  readonly maxFrameBytes: number;
  /** Streams of this method that one remote may have open at once. */
  readonly maxInboundStreams: number;
  /** Longest wait for the first frame of a stream, and for an answer where one is due at once. */
  readonly openTimeoutMs: number;
  /** Whether it is answered before the gate has been passed. True for the gate alone. */
  readonly ungated: boolean;
}

const control = { maxFrameBytes: limits.maxControlFrameBytes, openTimeoutMs: 5000, ungated: false };

export const methods = Object.freeze({
  gate: { id: '/skein/gate/1', maxFrameBytes: 1024, maxInboundStreams: 2, openTimeoutMs: 3000, ungated: true },
  card: { ...control, id: '/skein/card/1', maxFrameBytes: limits.maxCardBytes + 1024, maxInboundStreams: 2 },
  // One is enough; those of a connection that is just being closed count, too.
  alive: { ...control, id: '/skein/alive/1', maxFrameBytes: 256, maxInboundStreams: 4 },
  manifest: { ...control, id: '/skein/manifest/1', maxInboundStreams: 4 },
  bytes: { ...control, id: '/skein/bytes/1', maxInboundStreams: 8 },
  // One measurement at a time: two would measure each other.
  measure: {
    ...control,
    id: '/skein/measure/1',
    maxFrameBytes: measureLimits.maxProbeBytes + 1024,
    maxInboundStreams: 1,
  },
  stage: { ...control, id: '/skein/stage/1', maxInboundStreams: 16 },
  ring: { ...control, id: '/skein/ring/1', maxFrameBytes: limits.maxFrameBytes, maxInboundStreams: 16 },
  generate: {
    ...control,
    id: '/skein/generate/1',
    // A request is a header alone, behind its length.
    maxFrameBytes: 4 + limits.maxHeaderBytes,
    maxInboundStreams: 256,
  },
} as const satisfies Record<string, Method>);

export type MethodName = keyof typeof methods;
