import { asSkeinError, methods, SkeinError, type Logger, type Method } from '@skein/protocol';

import type { Membership } from '../membership/membership.ts';
import type { Denial } from '../membership/denials.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { untilAborted } from '../streams/wait.ts';
import type { ByteStream } from '../transport/byte-stream.ts';
import type { Connection, Transport } from '../transport/transport.ts';
import { answerHandshake, beginHandshake, type AdmittedRemote } from './handshake.ts';

/** Most connections of one remote host that have been through Noise and are not admitted yet. Each may cost megabytes. */
const maxUnpassedPerHost = 32;
/** Time for which a connection stays open after a refusal was sent on it, in milliseconds. */
const refusalLingerMs = 500;

/** The state of one connection's admission. */
interface AdmissionState {
  /** Set once the remote's certificate was found good: it may be served. */
  remote: AdmittedRemote | undefined;
  /** Settled when both ends have found each other's certificate good, or one did not. */
  readonly passed: PromiseWithResolvers<void>;
}

export interface MemberAdmissionComponents {
  readonly transport: Transport;
  readonly membership: Membership;
  readonly logger: Logger;
  /** Called with each connection from outside that is closed because of its other end. */
  readonly onDenied: (denial: Omit<Denial, 'count'>) => void;
}

/**
 * The admission of connections, which takes a good certificate. Both ends show theirs on every connection, beginning
 * with its dialler right after dialling; a connection that is not admitted within three seconds is closed, and so is
 * one whose certificate is not valid any more.
 */
export class MemberAdmission {
  readonly #transport: Transport;
  readonly #membership: Membership;
  readonly #logger: Logger;
  readonly #onDenied: MemberAdmissionComponents['onDenied'];
  /** Members that we are dialling though they are connected. */
  readonly #extraDials = new Set<string>();
  readonly #admissions = new WeakMap<Connection, AdmissionState>();
  /** Number of connections that are not admitted yet, by remote host. */
  readonly #unpassed = new Map<string, number>();

  constructor(components: MemberAdmissionComponents) {
    this.#transport = components.transport;
    this.#membership = components.membership;
    this.#logger = components.logger;
    this.#onDenied = components.onDenied;
  }

  /** Installs the admission. Call it before the transport starts, so that no connection escapes. */
  async install(): Promise<void> {
    const { id, maxInboundStreams } = methods.handshake;
    this.#transport.onConnection((connection) => void this.#admit(connection));
    await this.#transport.accept(id, { maxInboundStreams }, (stream, connection) => {
      void this.#answer(stream, connection);
    });
  }

  /**
   * Checks that the other end of this very connection may call a method.
   *
   * @throws SkeinError `not-a-member` before it is admitted, `not-permitted` where its certificate has none of the
   * roles that may
   */
  assertMayCall(connection: Connection, { id, callers }: Method): void {
    if (callers === 'anybody') return;
    const certificate = this.#admissions.get(connection)?.remote?.certificate;
    if (certificate === undefined) throw new SkeinError('not-a-member', 'no service before the handshake');
    this.#membership.assertGood(certificate);
    if (callers.some((role) => certificate.roles.includes(role))) return;
    throw new SkeinError('not-permitted', `${id} is for members that are ${callers.join(' or ')}`);
  }

  /**
   * Marks further dials to a member as ones beside another connection, until the returned object is disposed. The
   * member is told so.
   */
  expectExtra(peerId: string): Disposable {
    this.#extraDials.add(peerId);
    return { [Symbol.dispose]: () => this.#extraDials.delete(peerId) };
  }

  /**
   * Returns the authority's statement about the other end of an admitted connection, with the revocation list that it
   * knows.
   */
  remoteOf(connection: Connection): AdmittedRemote | undefined {
    return this.#admissions.get(connection)?.remote;
  }

  /** Closes all connections whose certificates are not valid any more. */
  recheck(): void {
    for (const connection of this.#transport.connections()) {
      const certificate = this.#admissions.get(connection)?.remote?.certificate;
      if (certificate === undefined) continue;
      try {
        this.#membership.assertGood(certificate);
      } catch (error) {
        this.#refuse(connection, error);
      }
    }
  }

  /**
   * Resolves once this very connection may be used.
   *
   * @throws SkeinError `not-a-member` or `peer-lost` when it never will be
   */
  async passed(connection: Connection): Promise<void> {
    await this.#admission(connection).passed.promise;
  }

  #admission(connection: Connection): AdmissionState {
    let admission = this.#admissions.get(connection);
    if (admission === undefined) {
      admission = { remote: undefined, passed: Promise.withResolvers<void>() };
      // Without this, a stranger's failure that nobody awaits would be an unhandled rejection.
      admission.passed.promise.catch(() => undefined);
      this.#admissions.set(connection, admission);
    }
    return admission;
  }

  async #admit(connection: Connection): Promise<void> {
    const admission = this.#admission(connection);
    const tooLate = setTimeout(() => {
      this.#refuse(connection, new SkeinError('not-a-member', 'the handshake was not passed in time'));
    }, methods.handshake.openTimeoutMs);
    const host = connection.direction === 'inbound' ? (connection.remoteHost ?? '') : undefined;
    const unpassed = host === undefined ? 0 : (this.#unpassed.get(host) ?? 0) + 1;
    if (host !== undefined) this.#unpassed.set(host, unpassed);
    let isSettled = false;
    const settle = (): void => {
      if (isSettled) return;
      isSettled = true;
      clearTimeout(tooLate);
      if (host !== undefined) this.#leave(host);
    };
    void connection.closed.then(() => {
      settle();
      admission.passed.reject(new SkeinError('peer-lost', 'the connection was closed in the handshake'));
    });
    admission.passed.promise.then(settle, settle);
    if (unpassed > maxUnpassedPerHost) {
      this.#refuse(connection, new SkeinError('overloaded', 'too many connections of one host before the handshake'));
      return;
    }
    if (connection.direction !== 'outbound') return;
    try {
      const signal = AbortSignal.timeout(methods.handshake.openTimeoutMs);
      const stream = await connection.openStream(methods.handshake.id, { signal });
      await this.#run(beginHandshake, stream, connection);
    } catch (error) {
      this.#refuse(connection, error);
    }
  }

  #leave(host: string): void {
    const left = (this.#unpassed.get(host) ?? 1) - 1;
    if (left > 0) this.#unpassed.set(host, left);
    else this.#unpassed.delete(host);
  }

  async #answer(stream: ByteStream, connection: Connection): Promise<void> {
    try {
      await this.#run(answerHandshake, stream, connection);
    } catch (error) {
      this.#refuse(connection, error);
    }
  }

  async #run(side: typeof beginHandshake, stream: ByteStream, connection: Connection): Promise<void> {
    const admission = this.#admission(connection);
    const frames = new FrameStream(stream, methods.handshake);
    try {
      const { remotePeerId } = connection;
      await side({
        stream: frames,
        membership: this.#membership,
        remotePeerId,
        isExtra: connection.direction === 'outbound' && this.#extraDials.has(remotePeerId),
        signal: AbortSignal.timeout(methods.handshake.openTimeoutMs),
        onAdmitted: (remote) => (admission.remote = remote),
      });
      admission.passed.resolve();
    } catch (error) {
      // The side that dialled is told why, unless it refused itself.
      if (side === answerHandshake && !frames.lost.aborted) await explain(frames, error);
      else frames.abort();
      throw error;
    }
  }

  #refuse(connection: Connection, reason: unknown): void {
    const error = asSkeinError(reason, 'peer-lost');
    const admission = this.#admission(connection);
    admission.remote = undefined;
    admission.passed.reject(error);
    if (connection.isOpen) {
      const remote = { peer: connection.remotePeerId, address: connection.remoteAddress };
      this.#logger.debug({ ...remote, code: error.code, reason: error.message }, 'connection refused in the handshake');
      const isTheirs = connection.direction === 'inbound' && error.code !== 'peer-lost';
      if (isTheirs) this.#onDenied({ reason: error.code, address: connection.remoteHost, peer: remote.peer });
    }
    connection.abort(error);
  }
}

/** Sends the reason, and gives the other end a moment to read it before the connection is closed under it. */
async function explain(frames: FrameStream, error: unknown): Promise<void> {
  await frames.fail(error);
  await untilAborted(frames.closed, AbortSignal.timeout(refusalLingerMs)).catch(() => undefined);
}
