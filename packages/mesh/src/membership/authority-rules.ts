import type { AuthorityState, MemberRecord } from './authority-state.ts';

/** How long a certificate is good for. Members renew theirs after a third of it. */
export const certificateMs = 90 * 24 * 3_600_000;

/** Of a mesh that nobody has joined yet. */
export function newState(now: number): AuthorityState {
  return {
    epoch: 1,
    graceEndsAt: 0,
    epochBeganAt: 0,
    listVersion: 1,
    listIssuedAt: now,
    revoked: [],
    members: [],
    invites: [],
    pending: [],
  };
}

/** Joins that still wait. */
export function waiting({ pending }: AuthorityState, now: number): AuthorityState['pending'] {
  return pending.filter(({ expiresAt = Infinity }) => expiresAt > now);
}

/** Nobody comes in any more by what a peer came with, or waits with. */
export function closeInvites(state: AuthorityState, peer: string): void {
  const hashes = new Set([
    ...state.pending.filter(({ member }) => member.peer === peer).map(({ hash }) => hash),
    ...state.members.filter((member) => member.peer === peer).map(({ invite }) => invite),
  ]);
  state.pending = state.pending.filter(({ member }) => member.peer !== peer);
  for (const invite of state.invites) if (hashes.has(invite.hash)) invite.usesLeft = 0;
}

/** What has expired needs no revocation, nor what is of an epoch that holds no longer. */
export function hasToBeTold(state: AuthorityState, entry: AuthorityState['revoked'][number], now: number): boolean {
  // Of whom nothing is known, the certificate may be as young as its end.
  const known = state.members.find((member) => member.peer === entry.peer)?.expiresAt;
  const expiresAt = entry.expiresAt ?? known ?? entry.revokedAt + certificateMs;
  const isOfOldEpoch = entry.revokedAt < state.epochBeganAt && state.graceEndsAt <= now;
  return expiresAt > now && !isOfOldEpoch;
}

/** Whether a member has been put out, or has left, and was not let in again. */
export function hasEnded(state: AuthorityState, member: MemberRecord): boolean {
  return member.ended !== undefined || isListed(state, member);
}

/** Whether the list says that its newest certificate is no good. */
export function isListed({ revoked }: AuthorityState, { peer, issuedAt }: MemberRecord): boolean {
  return revoked.some((entry) => entry.peer === peer && issuedAt <= entry.revokedAt);
}
