import type { AuthorityState, MemberRecord } from './authority-state.ts';

/** Lifetime of a certificate, in milliseconds. Members renew theirs after a third of it. */
export const certificateMs = 90 * 24 * 3_600_000;

/** Makes the state of a mesh that nobody has joined yet. */
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

/** Returns the joins that still wait. */
export function waiting({ pending }: AuthorityState, now: number): AuthorityState['pending'] {
  return pending.filter(({ expiresAt = Infinity }) => expiresAt > now);
}

/** Closes the invites that a peer came with, or waits with: they admit nobody any more. */
export function closeInvites(state: AuthorityState, peer: string): void {
  const hashes = new Set([
    ...state.pending.filter(({ member }) => member.peer === peer).map(({ hash }) => hash),
    ...state.members.filter((member) => member.peer === peer).map(({ invite }) => invite),
  ]);
  state.pending = state.pending.filter(({ member }) => member.peer !== peer);
  for (const invite of state.invites) if (hashes.has(invite.hash)) invite.usesLeft = 0;
}

/**
 * Tells whether a revocation has to be announced: not once the certificate has expired, or when its epoch holds no
 * longer.
 */
export function hasToBeTold(state: AuthorityState, entry: AuthorityState['revoked'][number], now: number): boolean {
  // Of whom nothing is known, the certificate may be as young as its end.
  const known = state.members.find((member) => member.peer === entry.peer)?.expiresAt;
  const expiresAt = entry.expiresAt ?? known ?? entry.revokedAt + certificateMs;
  const isOfOldEpoch = entry.revokedAt < state.epochBeganAt && state.graceEndsAt <= now;
  return expiresAt > now && !isOfOldEpoch;
}

/** Tells whether a member was revoked, or has left, and was not admitted again. */
export function hasEnded(state: AuthorityState, member: MemberRecord): boolean {
  return member.ended !== undefined || isListed(state, member);
}

/** Tells whether the list declares a member's newest certificate void. */
export function isListed({ revoked }: AuthorityState, { peer, issuedAt }: MemberRecord): boolean {
  return revoked.some((entry) => entry.peer === peer && issuedAt <= entry.revokedAt);
}
