import type { Problem } from './chain.ts';
import type { Head } from './head.ts';
import type { Place } from './lines.ts';

/** A crash that the log went through. */
export interface Recovery extends Place {
  readonly seq: number;
  readonly tornBytes: number;
  readonly unsealed: number;
}

/** The results of reading all of a log. */
export interface Verification {
  /** Whether no problem was found. */
  readonly ok: boolean;
  readonly files: number;
  readonly entries: number;
  /** Time of the first entry; that of the last one follows. */
  readonly from: string | undefined;
  readonly to: string | undefined;
  readonly checkpoints: number;
  /** Public key that the log names as its signer's, as base64 of its SubjectPublicKeyInfo. */
  readonly key: string | undefined;
  /** Whether that is the key that was asked for. Without one, the log vouches for itself alone. */
  readonly isKnownKey: boolean;
  readonly head: Head | undefined;
  /** Number of entries behind the head: being written now, or written when the coordinator was killed. */
  readonly unsealed: number;
  readonly recoveries: readonly Recovery[];
  /** An incomplete entry at the very end: being written now, or left by a crash. It is no problem. */
  readonly torn: (Place & { readonly bytes: number }) | undefined;
  /** Problems in the order of the log, those of the head last; the first hundred. */
  readonly problems: readonly Problem[];
}
