import type { Card } from '@skein/protocol';

/** The parts of a coordinator's card that its place in the order of successors depends on. */
export type Successor = Pick<Card, 'peer' | 'joinedAt'>;

/** Members whose certificate does not tell when they joined come last. */
const unknown = Number.MAX_SAFE_INTEGER;

/**
 * Sorts coordinators into the order in which they take over: the machine with the authority, then by the time at which
 * they joined, then by id. Everybody who sees the same coordinators sorts them alike.
 *
 * @param authority peer id of the machine with the authority; undefined where none is known
 */
export function orderSuccessors<Candidate extends Successor>(
  candidates: readonly Candidate[],
  authority: string | undefined,
): readonly Candidate[] {
  return candidates.toSorted(
    (one, other) =>
      Number(other.peer === authority) - Number(one.peer === authority) ||
      (one.joinedAt ?? unknown) - (other.joinedAt ?? unknown) ||
      (one.peer < other.peer ? -1 : 1),
  );
}
