import type { LivenessPreset } from '@skein/mesh';

import type { MeshKey } from './membership.ts';

/** What a member's process is given when it is started. */
export interface MemberSettings {
  readonly meshKey: MeshKey;
  /** Multiaddrs. */
  readonly listen: readonly string[];
  /** Multiaddrs of members to stay connected to. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly liveness: LivenessPreset;
  /** Whether it is the one that holds the mesh's authority. */
  readonly holdsAuthority: boolean;
}

/** What it can be told. */
export type MemberCommand =
  /** Start the mesh member: until then the process is only there, and ready. Answered by `started`. */
  | { readonly do: 'start' }
  /** Revoke another member, where it holds the authority. Answered by `gone`, as all others notice it. */
  | { readonly do: 'revoke'; readonly peer: string }
  /** Block the event loop, some times in a row. Answered by `blocked` when that is over. */
  | { readonly do: 'block'; readonly milliseconds: number; readonly times: number }
  /**
   * Send bytes to another member as fast as it takes them: on the connection for bulk, or among what is urgent. Answered by
   * `sent` when it has them, or by `failed`.
   */
  | ({ readonly do: 'send' } & Bulk);

/** What to send, and to whom. */
export interface Bulk {
  readonly peer: string;
  readonly bytes: number;
  readonly method: 'bytes' | 'ring';
}

/** What it says. `atMs` is of the clock that all processes of a machine share; see {@link sharedClockMs}. */
export type MemberMessage = { readonly atMs: number } & (
  | { readonly type: 'ready'; readonly peer: string }
  | { readonly type: 'started'; readonly addresses: readonly string[] }
  /** The card of another member has come, or is gone. */
  | { readonly type: 'came' | 'gone'; readonly peer: string }
  /** It has declared another member dead by its silence. */
  | { readonly type: 'declared-dead'; readonly peer: string }
  | { readonly type: 'blocked' }
  | { readonly type: 'sent'; readonly peer: string; readonly method: Bulk['method'] }
  | { readonly type: 'failed'; readonly reason: string }
);

/** Milliseconds of a clock that does not jump and that all processes of a machine share. */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
