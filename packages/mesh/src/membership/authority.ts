import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';

import {
  certificateSignatureContext,
  inviteSecretBytes,
  Observers,
  revocationListSignatureContext,
  SkeinError,
  toLog,
  type Certificate,
  type Labels,
  type Logger,
  type RevocationList,
  type Role,
  type Signed,
} from '@skein/protocol';

import { createIdentity, type Identity } from '../identity/identity.ts';
import type { AuthorityState, InviteRecord, MemberRecord } from './authority-state.ts';
import { certificateMs, closeInvites, hasEnded, hasToBeTold, isListed, newState, waiting } from './authority-rules.ts';
import { Membership, type Credentials } from './membership.ts';
import { signStatement } from './statement.ts';

/** Lifetime of the certificate of a program that asks beside a member, in milliseconds. */
const clientCertificateMs = 3_600_000;
const maxClientsPerMember = 32;
const defaultInviteMs = 3_600_000;
const maxInvites = 256;
const maxMembers = 1024;
const maxPending = 64;
/** Longest wait of a join for somebody to approve it, and then for its joiner to ask again, in milliseconds. */
const pendingMs = 24 * 3_600_000;
/** Most revocations that a list may hold. */
const maxRevoked = 4096;
/** Most of them by members that leave by themselves: these may not use up the room for revocations. */
const maxRevokedByLeaving = maxRevoked / 2;
/**
 * Default grace period, in milliseconds: members that are switched off over a weekend can renew their certificates
 * after a rotation.
 */
const defaultGraceMs = 7 * 24 * 3_600_000;
/** Shortest grace period, in milliseconds: members that are there can renew theirs. */
const minGraceMs = 60_000;

export interface InviteOptions {
  /** Role of the joiner; a `coordinator` may also be a peer. Default `peer`. */
  readonly role?: Role | undefined;
  readonly labels?: Labels | undefined;
  /** Time until it expires, in milliseconds. Default: an hour. */
  readonly expiresInMs?: number | undefined;
  /** Number of machines that may join with it. Default 1. */
  readonly uses?: number | undefined;
  /** Whether each join waits until somebody has approved it. Default false. */
  readonly approve?: boolean | undefined;
}

/** A machine that shows an invite. */
export interface Joiner {
  readonly peer: string;
  readonly name: string;
  /** Address that it calls from. */
  readonly address?: string | undefined;
}

/** A change of somebody's membership. */
export interface MembershipEvent {
  readonly type: 'join' | 'revocation';
  readonly peer: string;
  readonly role: Role;
  readonly name: string;
  /** Address of the joiner, for a join. */
  readonly address?: string | undefined;
  /** Reason of a revocation. */
  readonly reason?: 'revoked' | 'left';
}

export interface AuthorityComponents {
  /** The key that signs for the mesh; its public part is the mesh's id. */
  readonly key: Identity;
  /** State of the last `save`; left out for a new mesh. */
  readonly state?: AuthorityState;
  /** Keeps the state. A change that it does not keep has not happened: its errors are passed on. */
  readonly save: (state: AuthorityState) => Promise<void>;
  /** Returns milliseconds since 1970. Default: the system's clock. */
  readonly now?: () => number;
}

/** The authority over a mesh's members: it issues certificates against invites, renews and revokes them. One in a mesh. */
export class Authority {
  readonly #components: AuthorityComponents;
  readonly #now: () => number;
  #state: AuthorityState;
  #list: Signed;
  readonly #lists = new Observers<[list: Signed]>();
  readonly #events = new Observers<[event: MembershipEvent]>();
  /** The queue of changes, each kept before the next begins. */
  #changing: Promise<unknown> = Promise.resolve();

  /** Opens the authority of a mesh, or makes one. */
  static async open(components: AuthorityComponents): Promise<Authority> {
    const now = components.now ?? Date.now;
    const state = components.state ?? newState(now());
    const authority = new Authority(components, state, await signList(components.key, state));
    if (components.state === undefined) await components.save(state);
    return authority;
  }

  /** Makes an authority that is kept nowhere. */
  static async ephemeral(): Promise<Authority> {
    return await Authority.open({ key: await createIdentity(), save: async () => undefined });
  }

  private constructor(components: AuthorityComponents, state: AuthorityState, list: Signed) {
    this.#components = components;
    this.#now = components.now ?? Date.now;
    this.#state = state;
    this.#list = list;
  }

  get mesh(): string {
    return this.#components.key.peerId;
  }

  /** Version of its revocation list. */
  get listVersion(): number {
    return this.#state.listVersion;
  }

  /** All members that were ever admitted, revoked ones included. */
  get members(): readonly MemberRecord[] {
    return this.#state.members;
  }

  /** Joins that wait for {@link approve}. */
  get pending(): readonly MemberRecord[] {
    return waiting(this.#state, this.#now()).map(({ member }) => member);
  }

  /** Announces which machine holds it. All members hear of it: they turn to that one and to no other. */
  async holdAt(peer: string): Promise<void> {
    if (this.#state.holder === peer) return;
    await this.#change(async (state) => {
      state.holder = peer;
      this.#raiseList(state);
    });
  }

  /** Admits a machine without an invite: the authority's own, above all. */
  async admit(peer: string, options: { readonly roles: readonly Role[]; readonly name?: string }): Promise<Membership> {
    const { roles, name = '' } = options;
    const credentials = await this.#change(async (state) => {
      const member = { peer, roles: [...roles], name, labels: {}, issuedAt: 0, expiresAt: 0 };
      return await this.#issue(state, member);
    });
    return await Membership.open(this.mesh, credentials, { now: this.#now, receivedAt: this.#now() });
  }

  /** Admits a machine with a new identity, without an invite. */
  async enroll(roles: readonly Role[]): Promise<{ readonly identity: Identity; readonly membership: Membership }> {
    const identity = await createIdentity();
    return { identity, membership: await this.admit(identity.peerId, { roles }) };
  }

  /**
   * Makes an invite and returns its secret, of which only a hash is kept.
   *
   * @throws SkeinError `invalid-request` for numbers that make no sense, `overloaded` for too many open invites
   */
  async invite(options: InviteOptions = {}): Promise<Uint8Array> {
    const { role = 'peer', labels = {}, expiresInMs = defaultInviteMs, uses = 1, approve = false } = options;
    const secret = randomBytes(inviteSecretBytes);
    await this.#change(async (state) => {
      const open = state.invites.filter((invite) => isOpen(invite, this.#now()));
      if (open.length >= maxInvites) {
        throw new SkeinError('overloaded', `${maxInvites} invites are open; wait until some have expired`);
      }
      const invite: InviteRecord = {
        hash: hashOf(secret).toString('hex'),
        // A coordinator may hold layers, too.
        roles: role === 'coordinator' ? ['coordinator', 'peer'] : [role],
        labels,
        expiresAt: this.#now() + expiresInMs,
        usesLeft: uses,
        approve,
      };
      state.invites = [...open, invite];
    });
    return secret;
  }

  /**
   * Exchanges an invite's secret for credentials; undefined while the join waits for approval.
   *
   * @throws SkeinError `not-a-member` for a secret that is unknown, expired or used up: one message for all, so that
   * nothing is learned by trying
   */
  async redeem(secret: Uint8Array, joiner: Joiner): Promise<Credentials | undefined> {
    const credentials = await this.#change(async (state) => {
      const now = this.#now();
      state.pending = waiting(state, now);
      const approved = state.pending.find(({ member, hash }) => member.peer === joiner.peer && isSame(hash, secret));
      if (approved !== undefined) {
        if (!approved.approved) return undefined;
        state.pending = state.pending.filter((entry) => entry !== approved);
        return await this.#issue(state, approved.member);
      }
      const invite = state.invites.find((candidate) => isSame(candidate.hash, secret));
      if (invite === undefined || !isOpen(invite, now)) {
        throw new SkeinError(
          'not-a-member',
          'the invite is not good: it was used already, has expired, or is of another mesh; get a new one with `skein invite`',
        );
      }
      invite.usesLeft -= 1;
      const { roles, labels, hash } = invite;
      const member = { peer: joiner.peer, roles, name: joiner.name, labels, issuedAt: 0, expiresAt: 0, invite: hash };
      if (!invite.approve) return await this.#issue(state, member);
      if (state.pending.length >= maxPending) throw new SkeinError('overloaded', 'too many joins wait for approval');
      state.pending = [...state.pending, { member, hash, approved: false, expiresAt: now + pendingMs }];
      return undefined;
    });
    if (credentials !== undefined) this.#tell('join', joiner.peer, { address: joiner.address });
    return credentials;
  }

  /**
   * Approves a waiting join.
   *
   * @throws SkeinError `not-found` for a peer that does not wait
   */
  async approve(peer: string): Promise<void> {
    await this.#change(async (state) => {
      const now = this.#now();
      state.pending = waiting(state, now);
      const entry = state.pending.find(({ member }) => member.peer === peer);
      if (entry === undefined) throw new SkeinError('not-found', `${peer} does not wait for approval`);
      Object.assign(entry, { approved: true, expiresAt: now + pendingMs });
    });
  }

  /**
   * Issues a new certificate for a member, with the roles that it was admitted in.
   *
   * @throws SkeinError `not-a-member` for one that was not admitted, or was revoked
   */
  async renew(peer: string): Promise<Credentials> {
    return await this.#change(async (state) => {
      return await this.#issue(state, this.#goodMember(state, peer));
    });
  }

  /**
   * Issues credentials for a program beside a member, as a client and for an hour. They end with the member's own.
   *
   * @throws SkeinError `not-a-member` where it is none, `overloaded` for too many at a time
   */
  async admitClient(peer: string, via: string): Promise<Credentials> {
    return await this.#change(async (state) => {
      const member = this.#goodMember(state, via);
      state.members = state.members.filter((other) => other.via === undefined || other.expiresAt > this.#now());
      if (state.members.some((other) => other.peer === peer)) {
        throw new SkeinError('invalid-request', 'a client needs a peer id of its own');
      }
      if (state.members.filter((other) => other.via === via).length >= maxClientsPerMember) {
        throw new SkeinError(
          'overloaded',
          `${maxClientsPerMember} clients of one member are enough; try again in an hour`,
        );
      }
      const roles = ['client' as const];
      return await this.#issue(state, { peer, roles, name: member.name, labels: {}, issuedAt: 0, expiresAt: 0, via });
    });
  }

  /**
   * Ends a membership, everywhere, and a join that waits. A revoked member can't come back with the invite that it came
   * with, nor can anybody else use that again.
   *
   * @throws SkeinError `not-found` for a peer that is no member
   */
  async revoke(peer: string, reason: 'revoked' | 'left' = 'revoked'): Promise<void> {
    const wasMember = await this.#change(async (state) => {
      const now = this.#now();
      const wasWaiting = waiting(state, now).some((entry) => entry.member.peer === peer);
      const member = state.members.find((candidate) => candidate.peer === peer);
      if (member === undefined && !wasWaiting) {
        throw new SkeinError('not-found', `${peer} is no member of this mesh`);
      }
      if (reason === 'revoked') closeInvites(state, peer);
      if (member === undefined) return false;
      const gone = state.members.filter((other) => other.peer === peer || other.via === peer);
      const others = state.revoked.filter(
        (entry) => !gone.some((other) => other.peer === entry.peer) && hasToBeTold(state, entry, now),
      );
      const most = reason === 'left' ? maxRevokedByLeaving : maxRevoked;
      if (others.length + gone.length > most) {
        const fix = 'begin a new epoch with `skein rotate`, which clears the list when its grace period is over';
        throw new SkeinError('overloaded', `${others.length} revocations are listed; ${fix}`);
      }
      // Certificates say when they were issued: these must be covered, too, where the clock was set back.
      state.revoked = [
        ...others,
        ...gone.map((other) => ({
          peer: other.peer,
          revokedAt: Math.max(now, other.issuedAt),
          expiresAt: other.expiresAt,
        })),
      ];
      for (const other of gone) other.ended = reason;
      this.#raiseList(state);
      return true;
    });
    if (wasMember) this.#tell('revocation', peer, { reason });
  }

  /**
   * Begins a new epoch: members renew their certificates, and those of the old epoch are refused after the grace
   * period.
   *
   * @throws SkeinError `invalid-request` for less than a minute, in which those that are there could not renew theirs
   */
  async rotate(graceMs: number = defaultGraceMs): Promise<void> {
    if (graceMs < minGraceMs) {
      const fix = 'give them a minute at least; `skein revoke` puts a member out at once';
      throw new SkeinError('invalid-request', `members need time to get new certificates: ${fix}`);
    }
    await this.#change(async (state) => {
      const now = this.#now();
      state.epoch += 1;
      state.graceEndsAt = now + graceMs;
      state.epochBeganAt = now;
      this.#raiseList(state);
    });
  }

  /** Learns from its own list what it has forgotten, as one does that was restored from a backup. */
  async absorb({ version, epoch, graceEndsAt, issuedAt, revoked }: RevocationList): Promise<void> {
    if (version <= this.#state.listVersion) return;
    await this.#change(async (state) => {
      const now = this.#now();
      if (epoch > state.epoch) Object.assign(state, { epoch, graceEndsAt, epochBeganAt: issuedAt });
      const newest = new Map(
        state.revoked.filter((entry) => hasToBeTold(state, entry, now)).map((entry) => [entry.peer, entry]),
      );
      for (const entry of revoked) {
        const known = newest.get(entry.peer);
        if (known === undefined || known.revokedAt < entry.revokedAt) newest.set(entry.peer, { ...entry });
      }
      // Newest last, as they were added. More than a list holds can't be told; what was added first ends first.
      state.revoked = [...newest.values()].slice(-maxRevoked);
      for (const member of state.members) if (isListed(state, member)) member.ended ??= 'revoked';
      state.listVersion = version;
      this.#raiseList(state);
    });
  }

  /** Tells whether a member has been revoked, or has left, and was not admitted again. */
  hasEnded(member: MemberRecord): boolean {
    return hasEnded(this.#state, member);
  }

  /** Tells whether a member did not get a new certificate while the old epoch's were good. */
  isOfOldEpoch({ issuedAt }: MemberRecord): boolean {
    return issuedAt < this.#state.epochBeganAt && this.#state.graceEndsAt <= this.#now();
  }

  /** Calls back with each new revocation list. Returns a function that ends that. Errors of the listener are logged. */
  onList(listener: (list: Signed) => unknown, logger: Logger): () => void {
    return this.#lists.add(listener, toLog(logger, 'the revocation list'));
  }

  /**
   * Calls back when somebody was admitted by an invite, or revoked. Returns a function that ends that. Errors of the
   * listener are logged.
   */
  onEvent(listener: (event: MembershipEvent) => unknown, logger: Logger): () => void {
    return this.#events.add(listener, toLog(logger, 'joins and revocations'));
  }

  #tell(type: MembershipEvent['type'], peer: string, more: Pick<MembershipEvent, 'address' | 'reason'>): void {
    const member = this.members.find((candidate) => candidate.peer === peer);
    const [role = 'client'] = member?.roles ?? [];
    this.#events.notify({ type, peer, role, name: member?.name ?? '', ...more });
  }

  async #issue(state: AuthorityState, member: MemberRecord): Promise<Credentials> {
    const known = state.members.filter(({ peer }) => peer !== member.peer);
    // A record is kept for people to read, until its room is needed: nobody comes back with a certificate that has expired.
    const others = known.length < maxMembers ? known : known.filter(({ expiresAt }) => expiresAt > this.#now());
    if (others.length >= maxMembers) throw new SkeinError('overloaded', `a mesh has at most ${maxMembers} members`);
    const revokedAt = state.revoked.find(({ peer }) => peer === member.peer)?.revokedAt ?? 0;
    const issuedAt = Math.max(this.#now(), revokedAt + 1);
    const lifetimeMs = member.via === undefined ? certificateMs : clientCertificateMs;
    const { ended: _ended, ...renewed } = member;
    // A member of before these were kept has joined when its last certificate was issued, as far as anybody knows.
    const joinedAt = member.joinedAt ?? (member.issuedAt === 0 ? issuedAt : member.issuedAt);
    const issued = { ...renewed, issuedAt, expiresAt: issuedAt + lifetimeMs, joinedAt };
    const { via: _via, invite: _invite, ...claims } = issued;
    const certificate: Certificate = { mesh: this.mesh, epoch: state.epoch, ...claims };
    state.members = [...others, issued];
    const { privateKey } = this.#components.key;
    return {
      certificate: await signStatement(certificateSignatureContext, certificate, privateKey),
      revocations: this.#list,
    };
  }

  #goodMember(state: AuthorityState, peer: string): MemberRecord {
    const member = state.members.find((candidate) => candidate.peer === peer);
    if (member !== undefined && !hasEnded(state, member)) return member;
    throw new SkeinError('not-a-member', 'the authority knows no such member; get a new invite and join again');
  }

  #raiseList(state: AuthorityState): void {
    // By the clock, so that one restored from a backup is past what it has forgotten.
    state.listVersion = Math.max(state.listVersion + 1, this.#now());
    state.listIssuedAt = this.#now();
  }

  /** Changes a copy of the state, keeps it, and only then adopts and announces it. */
  async #change<Result>(change: (state: AuthorityState) => Promise<Result>): Promise<Result> {
    const changed = this.#changing.then(async () => {
      const state = structuredClone(this.#state);
      const result = await change(state);
      const isNewList = state.listVersion > this.#state.listVersion;
      const list = isNewList ? await signList(this.#components.key, state) : this.#list;
      await this.#components.save(state);
      this.#state = state;
      this.#list = list;
      if (isNewList) this.#lists.notify(list);
      return result;
    });
    this.#changing = changed.catch(() => undefined);
    return await changed;
  }
}

async function signList(key: Identity, state: AuthorityState): Promise<Signed> {
  const { epoch, graceEndsAt, listVersion, listIssuedAt, holder } = state;
  const list: RevocationList = {
    mesh: key.peerId,
    version: listVersion,
    issuedAt: listIssuedAt,
    epoch,
    graceEndsAt,
    ...(holder !== undefined && { holder }),
    revoked: state.revoked.map(({ peer, revokedAt }) => ({ peer, revokedAt })),
  };
  return await signStatement(revocationListSignatureContext, list, key.privateKey);
}

function isOpen({ usesLeft, expiresAt }: InviteRecord, now: number): boolean {
  return usesLeft > 0 && expiresAt > now;
}

function hashOf(secret: Uint8Array): Buffer {
  return createHash('sha256').update(secret).digest();
}

function isSame(hash: string, secret: Uint8Array): boolean {
  return timingSafeEqual(Buffer.from(hash, 'hex'), hashOf(secret));
}
