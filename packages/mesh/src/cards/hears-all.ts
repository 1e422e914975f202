import type { Card } from '@skein/protocol';

/**
 * Whether a member gets everybody's cards first-hand, by what it says itself: then nobody has to pass one on to it. Where
 * all pass on everything, a mesh of 100 sends each of its cards ten thousand times.
 *
 * @param member its newest card; undefined when none has come
 * @param present members that we see, ourselves not counted
 */
export function hearsAll(member: Pick<Card, 'connected'> | undefined, present: number): boolean {
  // It counts us and not itself, we count it and not ourselves.
  return member?.connected !== undefined && member.connected >= present;
}
