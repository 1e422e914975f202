import type { Problem } from './chain.ts';
import type { Head } from './head.ts';
import type { Place } from './lines.ts';

/** A crash that the log went through. */
export interface Recovery extends Place {
  readonly seq: number;
  readonly tornBytes: number;
  readonly unsealed: number;
}

/** What is known of a log after all of it was read. */
export interface Verification {
  /** No problem was found. */
  readonly ok: boolean;
  readonly files: number;
  readonly entries: number;
  /** Times of the first and the last entry. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly checkpoints: number;
  /** Public key that the log says it is signed with, as base64 of its SubjectPublicKeyInfo. */
  readonly key: string | undefined;
  /** Whether that is the key that was asked for. Without one, the log vouches for itself alone. */
  readonly isKnownKey: boolean;
  readonly head: Head | undefined;
  /** Entries behind the head: being written now, or written when the coordinator was killed. */
  readonly unsealed: number;
  readonly recoveries: readonly Recovery[];
  /** An entry at the very end that is not whole: being written now, or what a crash left. No problem. */
  readonly torn: (Place & { readonly bytes: number }) | undefined;
  /** In the order in which they stand in the log, those of the head last; the first hundred. */
  readonly problems: readonly Problem[];
}
