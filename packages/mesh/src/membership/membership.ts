import { hash } from 'node:crypto';

import {
  certificateSchema,
  certificateSignatureContext,
  Observers,
  revocationListSchema,
  revocationListSignatureContext,
  SkeinError,
  toLog,
  type Certificate,
  type Logger,
  type RevocationList,
  type Signed,
} from '@skein/protocol';

import {
  clockGap,
  comparedClocks,
  faultOf,
  ownProblem,
  refusal,
  type Advice,
  type Fault,
  type MembershipProblem,
} from './judgement.ts';
import { openStatement, ownedCopy } from './statement.ts';

/** What makes a machine a member: its certificate, and the newest revocation list that it knows. */
export interface Credentials {
  readonly certificate: Signed;
  readonly revocations: Signed;
}

export interface MembershipOptions {
  /** Milliseconds since 1970. Default the system's clock. */
  readonly now?: () => number;
  /** When the certificate came, by that clock. Left out: that is not known. */
  readonly receivedAt?: number | undefined;
}

/** What a statement says, and the statement. */
interface Statement<Claims> {
  readonly claims: Claims;
  readonly signed: Signed;
}

/** Certificates whose signatures were found good, remembered so that a heartbeat costs no arithmetic. */
const rememberedCertificates = 2048;
/** A certificate is renewed when less than this part of its time is left. */
const renewalShare = 2 / 3;

/**
 * One machine's membership of one mesh: its own certificate, and the judgement of everybody else's. Times come from
 * `now`; nothing here touches the network or the disk.
 */
export class Membership {
  readonly mesh: string;
  readonly #now: () => number;
  readonly #verified = new Map<string, Certificate>();
  readonly #observers = new Observers();
  #own: Statement<Certificate>;
  #receivedAt: number | undefined;
  #list: Statement<RevocationList>;
  /** By peer id: certificates that were issued by then are no good. */
  #revoked: ReadonlyMap<string, number>;

  /**
   * Throws `not-a-member` when the certificate is not of `mesh`. It may be good no longer: see {@link problem}.
   */
  static async open(mesh: string, credentials: Credentials, options: MembershipOptions = {}): Promise<Membership> {
    try {
      const claims = await openCertificate(mesh, credentials.certificate);
      const list = await openList(mesh, credentials.revocations);
      return new Membership(
        { claims, signed: ownedCopy(credentials.certificate) },
        { claims: list, signed: ownedCopy(credentials.revocations) },
        options,
      );
    } catch (error) {
      throw new SkeinError('not-a-member', 'the certificate of this machine is not of this mesh; join again', {
        cause: error,
      });
    }
  }

  private constructor(
    own: Statement<Certificate>,
    list: Statement<RevocationList>,
    { now = Date.now, receivedAt }: MembershipOptions,
  ) {
    this.mesh = own.claims.mesh;
    this.#own = own;
    this.#list = list;
    this.#revoked = revokedPeers(list.claims);
    this.#now = now;
    this.#receivedAt = receivedAt;
  }

  /** What the authority says of this machine. */
  get certificate(): Certificate {
    return this.#own.claims;
  }

  get revocations(): RevocationList {
    return this.#list.claims;
  }

  get credentials(): Credentials {
    return { certificate: this.#own.signed, revocations: this.#list.signed };
  }

  /** When this machine got its certificate, by its own clock; undefined where that was not noted. */
  get receivedAt(): number | undefined {
    return this.#receivedAt;
  }

  /** Why this machine's own certificate is no good; undefined while it is. */
  get problem(): MembershipProblem | undefined {
    const { claims } = this.#own;
    const fault = this.#faultOf(claims);
    return fault && ownProblem(fault, claims, { now: this.#now(), receivedAt: this.#receivedAt });
  }

  /** Says by how much this machine's clock and the authority's differ, where that is much; undefined otherwise. */
  get clockGap(): Advice | undefined {
    return clockGap(this.#own.claims, this.#receivedAt);
  }

  /** Throws `not-a-member`, with what helps, while this machine's own certificate is no good. */
  assertOwnGood(): void {
    const { problem } = this;
    if (problem !== undefined) throw new SkeinError('not-a-member', `${problem.what}; ${problem.fix}`);
  }

  /** What it means that another machine has refused our certificate, where its clock and ours are the reason. */
  explainRefusal(error: unknown): SkeinError {
    return comparedClocks(error, this.#own.claims, this.#now());
  }

  /** Whether it is time to ask the authority for a new certificate. */
  get needsRenewal(): boolean {
    const { epoch, issuedAt, expiresAt } = this.#own.claims;
    if (epoch < this.#list.claims.epoch) return true;
    return expiresAt - this.#now() < renewalShare * (expiresAt - issuedAt);
  }

  /**
   * What the authority says of the owner of a peer id. Throws `not-a-member`, with a reason to show at the other end,
   * unless the certificate is of this mesh, of that peer, of an epoch that holds, in its time, and not revoked.
   */
  async verify(signed: Signed, peerId: string): Promise<Certificate> {
    const key = hash('sha256', Buffer.concat([signed.signature, signed.bytes]), 'base64');
    let claims = this.#verified.get(key);
    if (claims === undefined) {
      claims = await this.#open(signed);
      this.#remember(key, claims);
    }
    if (claims.peer !== peerId) throw refused('the certificate is of another machine');
    this.assertGood(claims);
    return claims;
  }

  /** Throws `not-a-member` when a certificate that was good once is so no longer. */
  assertGood(certificate: Certificate): void {
    const fault = this.#faultOf(certificate);
    if (fault !== undefined) throw refusal(fault, certificate, this.#now());
  }

  #faultOf(certificate: Certificate): Fault | undefined {
    const revokedAt = this.#revoked.get(certificate.peer);
    return faultOf(certificate, { now: this.#now(), list: this.#list.claims, revokedAt });
  }

  /** Takes a newer revocation list. False when it is not newer. Throws `protocol-violation` for one that is not the authority's. */
  async adopt(signed: Signed): Promise<boolean> {
    const claims = await openList(this.mesh, signed);
    if (claims.version <= this.#list.claims.version) return false;
    this.#list = { claims, signed: ownedCopy(signed) };
    this.#revoked = revokedPeers(claims);
    this.#observers.notify();
    return true;
  }

  /** Takes a new certificate for this machine. Throws `protocol-violation` for one that is not the authority's, or not ours. */
  async renew(signed: Signed): Promise<void> {
    const claims = await openCertificate(this.mesh, signed);
    if (claims.peer !== this.#own.claims.peer) {
      throw new SkeinError('protocol-violation', 'the authority sent a certificate of another machine');
    }
    this.#own = { claims, signed: ownedCopy(signed) };
    this.#receivedAt = this.#now();
    this.#observers.notify();
  }

  /**
   * Calls back after each change of the list or of the own certificate. Returns what ends that. What the listener throws is
   * logged, and hurts nobody else.
   */
  onChange(listener: () => unknown, logger: Logger): () => void {
    return this.#observers.add(listener, toLog(logger, 'the membership'));
  }

  async #open(signed: Signed): Promise<Certificate> {
    try {
      return await openCertificate(this.mesh, signed);
    } catch (error) {
      throw refused('the certificate is of another mesh, or forged; join this mesh with an invite', error);
    }
  }

  #remember(key: string, claims: Certificate): void {
    const [oldest] = this.#verified.keys();
    if (this.#verified.size >= rememberedCertificates && oldest !== undefined) this.#verified.delete(oldest);
    this.#verified.set(key, claims);
  }
}

/** The claims in a certificate that the mesh's authority has signed. Throws `protocol-violation`. */
async function openCertificate(mesh: string, signed: Signed): Promise<Certificate> {
  const claims = await openStatement(certificateSignatureContext, certificateSchema, { signed, signer: mesh });
  if (claims.mesh !== mesh) throw new SkeinError('protocol-violation', 'a certificate names another mesh');
  return claims;
}

async function openList(mesh: string, signed: Signed): Promise<RevocationList> {
  const claims = await openStatement(revocationListSignatureContext, revocationListSchema, { signed, signer: mesh });
  if (claims.mesh !== mesh) throw new SkeinError('protocol-violation', 'a revocation list names another mesh');
  return claims;
}

function revokedPeers({ revoked }: RevocationList): ReadonlyMap<string, number> {
  return new Map(revoked.map(({ peer, revokedAt }) => [peer, revokedAt]));
}

function refused(reason: string, cause?: unknown): SkeinError {
  return new SkeinError('not-a-member', reason, cause === undefined ? {} : { cause });
}
