import { setTimeout as delay } from 'node:timers/promises';

import type { Mesh } from '@skein/mesh';
import { isSkeinError, type ErrorCode, type SkeinError } from '@skein/protocol';

/**
 * Failures that may pass: machines or memory are missing, or one was lost; a source can't be reached or sends wrong bytes,
 * a disk is full.
 */
const passing: readonly ErrorCode[] = [
  'no-peers',
  'does-not-fit',
  'model-not-found',
  'peer-lost',
  'model-unreachable',
  'hash-mismatch',
  'disk-failed',
  'deadline-exceeded',
];

/** Pauses between two attempts, in milliseconds: the first, and the longest, each being twice the one before. */
const pausesMs = { first: 5000, most: 300_000 };

export interface KeepTryingOptions {
  /** The mesh whose machines are waited for. */
  readonly mesh: Pick<Mesh, 'cards'>;
  /** Called with a failure that is waited out, once for each message in a row. */
  readonly onWait: (error: SkeinError) => void;
  /** Ends the waits. */
  readonly signal: AbortSignal;
}

/**
 * Does some work until it succeeds. After a failure that may pass it waits until machines join or leave the mesh, and
 * for a pause at most, which grows from five seconds to five minutes.
 *
 * @throws the failure of the work when no waiting helps; the reason of the signal
 */
export async function keepTrying<Value>(
  work: () => Promise<Value>,
  { mesh, onWait, signal }: KeepTryingOptions,
): Promise<Value> {
  let said: string | undefined;
  for (let pauseMs = pausesMs.first; ; pauseMs = Math.min(2 * pauseMs, pausesMs.most)) {
    const before = peersOf(mesh);
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!isSkeinError(error) || !passing.includes(error.code)) throw error;
      if (error.message !== said) onWait(error);
      said = error.message;
    }
    const over = new AbortController();
    const either = { signal: AbortSignal.any([signal, over.signal]) };
    await Promise.race([untilOthers(mesh, before, either), delay(pauseMs, undefined, either)]).finally(() =>
      over.abort(),
    );
  }
}

/** Resolves when the machines of the mesh are others than those before. */
async function untilOthers(
  mesh: Pick<Mesh, 'cards'>,
  before: string,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  for await (const _ of mesh.cards.watch(options)) if (peersOf(mesh) !== before) return;
}

/** Returns the ids of the machines that hold layers, as one text. */
function peersOf({ cards }: Pick<Mesh, 'cards'>): string {
  const peers = cards.snapshot().filter(({ hardware }) => hardware !== undefined);
  return peers
    .map(({ peer }) => peer)
    .sort()
    .join(' ');
}
