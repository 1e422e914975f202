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

/** The proof that a machine is a member, its certificate, and the newest revocation list that it knows. */
export interface Credentials {
  readonly certificate: Signed;
  readonly revocations: Signed;
}

export interface MembershipOptions {
  /** Returns milliseconds since 1970. Default: the system's clock. */
  readonly now?: () => number;
  /** Time at which the certificate came, by that clock. Left out when it is not known. */
  readonly receivedAt?: number | undefined;
}

/** The claims of a statement, and the statement. */
interface Statement<Claims> {
  readonly claims: Claims;
  readonly signed: Signed;
}

/** Most certificates with good signatures that are remembered, so that a heartbeat costs no arithmetic. */
const rememberedCertificates = 2048;
/** Share of a certificate's time, of which less is left when it is renewed. */
const renewalShare = 2 / 3;

/**
 * One machine's membership of one mesh: its own certificate, and the judgement of everybody else's. Times come from
 * `now`; it touches neither network nor disk.
 */
export class Membership {
  readonly mesh: string;
  readonly #now: () => number;
  readonly #verified = new Map<string, Certificate>();
  readonly #observers = new Observers();
  #own: Statement<Certificate>;
  #receivedAt: number | undefined;
  #list: Statement<RevocationList>;
  /** Times up to which a peer's certificates are void, by peer id. */
  #revoked: ReadonlyMap<string, number>;

  /**
   * Opens a membership. Its certificate may be invalid by now: see {@link problem}.
   *
   * @throws SkeinError `not-a-member` when the certificate is not of `mesh`
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

  /** The authority's statement about this machine. */
  get certificate(): Certificate {
    return this.#own.claims;
  }

  get revocations(): RevocationList {
    return this.#list.claims;
  }

  get credentials(): Credentials {
    return { certificate: this.#own.signed, revocations: this.#list.signed };
  }

  /** Time at which this machine got its certificate, by its own clock; undefined where that was not noted. */
  get receivedAt(): number | undefined {
    return this.#receivedAt;
  }

  /** Problem with this machine's own certificate; undefined while it is good. */
  get problem(): MembershipProblem | undefined {
    const { claims } = this.#own;
    const fault = this.#faultOf(claims);
    return fault && ownProblem(fault, claims, { now: this.#now(), receivedAt: this.#receivedAt });
  }

  /** Advice where this machine's clock and the authority's differ by much; undefined otherwise. */
  get clockGap(): Advice | undefined {
    return clockGap(this.#own.claims, this.#receivedAt);
  }

  /**
   * Checks that this machine's own certificate is good.
   *
   * @throws SkeinError `not-a-member`, with the fix, while it is not
   */
  assertOwnGood(): void {
    const { problem } = this;
    if (problem !== undefined) throw new SkeinError('not-a-member', `${problem.what}; ${problem.fix}`);
  }

  /** Explains another machine's refusal of our certificate, where its clock and ours are the reason. */
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
   * Verifies a certificate and returns its claims about the owner of a peer id.
   *
   * @throws SkeinError `not-a-member`, with a reason to show at the other end, unless the certificate is of this mesh,
   * of that peer, of an epoch that holds, in its time, and not revoked
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

  /**
   * Checks that a certificate that was good is good still.
   *
   * @throws SkeinError `not-a-member` when it is not
   */
  assertGood(certificate: Certificate): void {
    const fault = this.#faultOf(certificate);
    if (fault !== undefined) throw refusal(fault, certificate, this.#now());
  }

  #faultOf(certificate: Certificate): Fault | undefined {
    const revokedAt = this.#revoked.get(certificate.peer);
    return faultOf(certificate, { now: this.#now(), list: this.#list.claims, revokedAt });
  }

  /**
   * Adopts a newer revocation list. Returns false when it is not newer.
   *
   * @throws SkeinError `protocol-violation` for one that is not the authority's
   */
  async adopt(signed: Signed): Promise<boolean> {
    const claims = await openList(this.mesh, signed);
    if (claims.version <= this.#list.claims.version) return false;
    this.#list = { claims, signed: ownedCopy(signed) };
    this.#revoked = revokedPeers(claims);
    this.#observers.notify();
    return true;
  }

  /**
   * Adopts a new certificate for this machine.
   *
   * @throws SkeinError `protocol-violation` for one that is not the authority's, or not ours
   */
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
   * Calls back after each change of the list or of the own certificate. Returns a function that ends that. Errors of
   * the listener are logged, and affect nobody else.
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

/**
 * Opens a certificate that the mesh's authority has signed, and returns its claims.
 *
 * @throws SkeinError `protocol-violation` for any other
 */
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
