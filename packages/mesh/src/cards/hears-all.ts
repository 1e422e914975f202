import type { Card } from '@skein/protocol';

/**
 * Tells whether a member gets everybody's cards first-hand, according to its own card: then nobody has to pass one on
 * to it. Where all pass on everything, a mesh of 100 sends each of its cards ten thousand times.
 *
 * @param member its newest card; undefined when none has come
 * @param present number of members that we see, ourselves not counted
 */
export function hearsAll(member: Pick<Card, 'connected'> | undefined, present: number): boolean {
  // It counts us and not itself, we count it and not ourselves.
  return member?.connected !== undefined && member.connected >= present;
}
