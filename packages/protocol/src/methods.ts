import { limits } from './limits.ts';
import { measureLimits } from './mesh/measure.ts';
import type { Role } from './mesh/role.ts';

/** One protocol between members, as data. Callers and handlers take their bounds from here. */
export interface Method {
  /** libp2p protocol id: `/skein/<method>/<major>`. */
  readonly id: string;
  /** Longest frame that either side may send. */
  readonly maxFrameBytes: number;
  /** Longest header inside such a frame. */
  readonly maxHeaderBytes: number;
  /** Streams of this method that one remote may have open at once. */
  readonly maxInboundStreams: number;
  /** Longest wait for the first frame of a stream, and for an answer where one is due at once. */
  readonly openTimeoutMs: number;
  /**
   * Callers of the method: members with one of these roles; or anybody, before admission, in which case its handler
   * must withstand hostile callers.
   */
  readonly callers: readonly Role[] | 'anybody';
  /** Whether it carries data as fast as the network allows: weights and activations. */
  readonly isBulk: boolean;
}

const everyMember = ['peer', 'coordinator', 'client'] as const;
const servingMembers = ['peer', 'coordinator'] as const;
const control = {
  maxFrameBytes: limits.maxControlFrameBytes,
  maxHeaderBytes: limits.maxControlHeaderBytes,
  openTimeoutMs: 5000,
  callers: everyMember,
  isBulk: false,
};
const preAdmission = {
  maxFrameBytes: 8192,
  maxHeaderBytes: 8192,
  maxInboundStreams: 2,
  openTimeoutMs: 3000,
  callers: 'anybody',
  isBulk: false,
} as const;

export const methods = Object.freeze({
  handshake: { ...preAdmission, id: '/skein/handshake/1' },
  join: { ...preAdmission, id: '/skein/join/1' },
  renew: { ...control, id: '/skein/renew/1', maxFrameBytes: 1024 * 1024, maxInboundStreams: 1 },
  admitClient: {
    ...control,
    id: '/skein/admit-client/1',
    maxFrameBytes: 1024 * 1024,
    maxInboundStreams: 2,
    callers: servingMembers,
  },
  leave: { ...control, id: '/skein/leave/1', maxFrameBytes: 1024, maxInboundStreams: 1 },
  revocations: { ...control, id: '/skein/revocations/1', maxFrameBytes: 1024 * 1024, maxInboundStreams: 2 },
  card: { ...control, id: '/skein/card/2', maxFrameBytes: limits.maxCardBytes + 8192, maxInboundStreams: 2 },
  freshCard: {
    ...control,
    id: '/skein/fresh-card/1',
    maxFrameBytes: limits.maxCardBytes + 8192,
    maxInboundStreams: 2,
    callers: ['coordinator'],
  },
  drain: { ...control, id: '/skein/drain/1', maxFrameBytes: 1024, maxInboundStreams: 2, callers: ['coordinator'] },
  // One is enough; those of a connection that is just being closed count, too.
  alive: { ...control, id: '/skein/alive/1', maxFrameBytes: 256, maxInboundStreams: 4 },
  manifest: { ...control, id: '/skein/manifest/1', maxInboundStreams: 4, callers: servingMembers },
  bytes: { ...control, id: '/skein/bytes/1', maxInboundStreams: 8, callers: servingMembers, isBulk: true },
  // One measurement at a time: two would measure each other.
  measure: {
    ...control,
    id: '/skein/measure/1',
    maxFrameBytes: measureLimits.maxProbeBytes + 1024,
    maxInboundStreams: 1,
    callers: servingMembers,
    isBulk: true,
  },
  // Deployments take minutes, and requests for models wait for theirs.
  place: { ...control, id: '/skein/place/1', maxInboundStreams: 64, callers: ['coordinator'] },
  desired: { ...control, id: '/skein/desired/1', maxInboundStreams: 2, callers: ['coordinator'] },
  stage: { ...control, id: '/skein/stage/3', maxInboundStreams: 16, callers: ['coordinator'] },
  ring: {
    ...control,
    id: '/skein/ring/1',
    maxFrameBytes: limits.maxFrameBytes,
    maxInboundStreams: 16,
    callers: ['peer'],
    isBulk: true,
  },
  generate: {
    ...control,
    id: '/skein/generate/2',
    // A request, with its prompt as payload, and in that the list of its messages.
    maxFrameBytes: 4 + limits.maxControlHeaderBytes + limits.maxPromptBytes + 1024 * 1024,
    maxInboundStreams: 256,
  },
  // One for each answer that another lead generates. Its request is a generation's.
  readAlong: {
    ...control,
    id: '/skein/read-along/1',
    maxFrameBytes: 4 + limits.maxControlHeaderBytes + limits.maxPromptBytes + 1024 * 1024,
    maxInboundStreams: 64,
  },
  // One for each lead that a peer may hold.
  prefixes: { ...control, id: '/skein/prefixes/1', maxFrameBytes: 16_384, maxHeaderBytes: 1024, maxInboundStreams: 32 },
} as const satisfies Record<string, Method>);

export type MethodName = keyof typeof methods;
