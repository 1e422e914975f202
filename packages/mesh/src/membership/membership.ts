import { hash } from 'node:crypto';

import {
  asSkeinError,
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

import { openStatement, ownedCopy } from './statement.ts';

/** What makes a machine a member: its certificate, and the newest revocation list that it knows. */
export interface Credentials {
  readonly certificate: Signed;
  readonly revocations: Signed;
}

/** What a statement says, and the statement. */
interface Statement<Claims> {
  readonly claims: Claims;
  readonly signed: Signed;
}

/** How far another machine's clock may be ahead of ours. */
const clockToleranceMs = 10 * 60_000;
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
  #list: Statement<RevocationList>;
  /** By peer id: certificates that were issued by then are no good. */
  #revoked: ReadonlyMap<string, number>;

  /**
   * Throws `not-a-member` when the certificate is not of `mesh`, or no longer good.
   *
   * @param now milliseconds since 1970; default the system's clock
   */
  static async open(mesh: string, credentials: Credentials, now: () => number = Date.now): Promise<Membership> {
    try {
      const claims = await openCertificate(mesh, credentials.certificate);
      const list = await openList(mesh, credentials.revocations);
      return new Membership(
        { claims, signed: ownedCopy(credentials.certificate) },
        { claims: list, signed: ownedCopy(credentials.revocations) },
        now,
      );
    } catch (error) {
      throw new SkeinError('not-a-member', 'the certificate of this machine is not of this mesh; join again', {
        cause: error,
      });
    }
  }

  private constructor(own: Statement<Certificate>, list: Statement<RevocationList>, now: () => number) {
    this.mesh = own.claims.mesh;
    this.#own = own;
    this.#list = list;
    this.#revoked = revokedPeers(list.claims);
    this.#now = now;
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

  /** Why this machine's own certificate is good no longer; undefined while it is. */
  get problem(): string | undefined {
    try {
      this.assertGood(this.#own.claims);
      return undefined;
    } catch (error) {
      return asSkeinError(error).message;
    }
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
  assertGood({ peer, epoch, issuedAt, expiresAt }: Certificate): void {
    const now = this.#now();
    const list = this.#list.claims;
    if (issuedAt <= (this.#revoked.get(peer) ?? -1)) throw refused('the certificate has been revoked');
    if (expiresAt <= now) throw refused('the certificate has expired; get a new invite and join again');
    if (issuedAt > now + clockToleranceMs) {
      throw refused('the certificate is from the future; set the clocks of both machines');
    }
    const holds = epoch >= list.epoch || (epoch === list.epoch - 1 && now < list.graceEndsAt);
    if (!holds) throw refused('the certificate is of an old epoch; get a new invite and join again');
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
