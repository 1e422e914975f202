import type { LivenessPreset } from '@skein/mesh';

import type { MeshKey } from './membership.ts';

/** The settings of a member's process. */
export interface MemberSettings {
  readonly meshKey: MeshKey;
  /** Multiaddrs to listen on. */
  readonly listen: readonly string[];
  /** Multiaddrs of members to stay connected to. */
  readonly peers: readonly string[];
  readonly mdns: boolean;
  readonly liveness: LivenessPreset;
  /** Whether it holds the mesh's authority. */
  readonly holdsAuthority: boolean;
}

/** A command to a member's process. */
export type MemberCommand =
  /** Starts the mesh member: until then the process only waits. Answered by `started`. */
  | { readonly do: 'start' }
  /** Revokes another member; for the holder of the authority. Answered by `gone`, as all others notice it. */
  | { readonly do: 'revoke'; readonly peer: string }
  /** Blocks the event loop, some times in a row. Answered by `blocked` when that is over. */
  | { readonly do: 'block'; readonly milliseconds: number; readonly times: number }
  /**
   * Sends bytes to another member as fast as it takes them: on the connection for bulk, or among urgent frames.
   * Answered by `sent` when it has them, or by `failed`.
   */
  | ({ readonly do: 'send' } & Bulk);

/** Bytes to send, and their receiver. */
export interface Bulk {
  readonly peer: string;
  readonly bytes: number;
  readonly method: 'bytes' | 'ring';
}

/**
 * A message of a member's process. `atMs` is on the clock that all processes of a machine share; see {@link
 * sharedClockMs}.
 */
export type MemberMessage = { readonly atMs: number } & (
  | { readonly type: 'ready'; readonly peer: string }
  | { readonly type: 'started'; readonly addresses: readonly string[] }
  /** The card of another member has come, or is gone. */
  | { readonly type: 'came' | 'gone'; readonly peer: string }
  /** The addresses on the card of another member are these now. */
  | { readonly type: 'addresses'; readonly peer: string; readonly addresses: readonly string[] }
  /** It has declared another member dead for its silence. */
  | { readonly type: 'declared-dead'; readonly peer: string }
  | { readonly type: 'blocked' }
  | { readonly type: 'sent'; readonly peer: string; readonly method: Bulk['method'] }
  | { readonly type: 'failed'; readonly reason: string }
);

/** Returns the milliseconds of a clock that does not jump and that all processes of a machine share. */
export function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
