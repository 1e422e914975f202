import { isSkeinError, type Card, type ErrorCode } from '@skein/protocol';

/** Failures that may pass: machines or memory are missing, or one was lost; a holder can't be reached or sends wrong bytes. */
const passing: readonly ErrorCode[] = [
  'no-peers',
  'does-not-fit',
  'model-not-found',
  'peer-lost',
  'stage-lost',
  'model-unreachable',
  'hash-mismatch',
  'disk-failed',
  'deadline-exceeded',
];

/** Tells whether a failure to deploy may pass by itself. */
export function mayPass(error: unknown): boolean {
  return isSkeinError(error) && passing.includes(error.code);
}

/** Pauses between two attempts, in milliseconds: the first, and the longest, each being twice the one before. */
const pausesMs = { first: 5000, most: 300_000 };

/** Returns the pause before another attempt, where so many had failed in a row before the last one. */
export function pauseAfter(failures: number): number {
  return Math.min(pausesMs.first * 2 ** failures, pausesMs.most);
}

/** Returns the machines that hold layers, with their models, as one text: where it changes, another attempt may succeed. */
export function machinesOf(cards: readonly Card[]): string {
  const peers = cards.filter(({ hardware }) => hardware !== undefined);
  return peers
    .map(({ peer, models }) => [peer, ...models.map(({ model }) => model).sort()].join(' '))
    .sort()
    .join('\n');
}
