import type { Connection, Stream } from '@libp2p/interface';
import { asSkeinError, methods, SkeinError, type Logger } from '@skein/protocol';
import type { Libp2p } from 'libp2p';

import type { MeshSecret } from '../identity/mesh-secret.ts';
import { ByteStream } from '../streams/byte-stream.ts';
import { FrameStream } from '../streams/frame-stream.ts';
import { answerKnock, knock } from './handshake.ts';

/** Where one connection stands. */
interface Admission {
  /** The remote has proved that it knows the secret: it may be served. */
  proven: boolean;
  /** Settled when both ends have proved themselves, or one failed to. */
  readonly passed: PromiseWithResolvers<void>;
}

/**
 * Lets nobody in who doesn't know the mesh secret. Proof is asked for on every connection, by its dialler right after
 * dialling; a connection that has not passed within three seconds is closed.
 */
export class Gate {
  readonly #host: Libp2p;
  readonly #secret: MeshSecret;
  readonly #logger: Logger;
  readonly #admissions = new WeakMap<Connection, Admission>();

  constructor(components: { readonly host: Libp2p; readonly secret: MeshSecret; readonly logger: Logger }) {
    this.#host = components.host;
    this.#secret = components.secret;
    this.#logger = components.logger;
  }

  /** Must be called before the host starts, so that no connection escapes. */
  async install(): Promise<void> {
    const { id, maxInboundStreams } = methods.gate;
    this.#host.addEventListener('connection:open', (event) => void this.#admit(event.detail));
    await this.#host.handle(id, async (stream, connection) => await this.#answer(stream, connection), {
      maxInboundStreams,
    });
  }

  /** Whether the other end of this very connection may be served. */
  hasProven(connection: Connection): boolean {
    return this.#admissions.get(connection)?.proven === true;
  }

  /** Resolves once this very connection may be used. Throws `not-a-member` or `peer-lost` when it never will. */
  async passed(connection: Connection): Promise<void> {
    await this.#admission(connection).passed.promise;
  }

  #admission(connection: Connection): Admission {
    let admission = this.#admissions.get(connection);
    if (admission === undefined) {
      admission = { proven: false, passed: Promise.withResolvers<void>() };
      // Whoever cares awaits it; a stranger's failure is nobody's unhandled rejection.
      admission.passed.promise.catch(() => undefined);
      this.#admissions.set(connection, admission);
    }
    return admission;
  }

  async #admit(connection: Connection): Promise<void> {
    const admission = this.#admission(connection);
    const tooLate = setTimeout(() => {
      this.#refuse(connection, new SkeinError('not-a-member', 'the gate was not passed in time'));
    }, methods.gate.openTimeoutMs);
    connection.addEventListener('close', () => {
      clearTimeout(tooLate);
      admission.passed.reject(new SkeinError('peer-lost', 'the connection was closed at the gate'));
    });
    admission.passed.promise.then(
      () => clearTimeout(tooLate),
      () => clearTimeout(tooLate),
    );
    if (connection.direction !== 'outbound') return;
    try {
      const signal = AbortSignal.timeout(methods.gate.openTimeoutMs);
      const stream = await connection.newStream(methods.gate.id, { signal });
      await this.#run(knock, stream, connection);
    } catch (error) {
      this.#refuse(connection, error);
    }
  }

  async #answer(stream: Stream, connection: Connection): Promise<void> {
    try {
      await this.#run(answerKnock, stream, connection);
    } catch (error) {
      this.#refuse(connection, error);
    }
  }

  async #run(side: typeof knock, stream: Stream, connection: Connection): Promise<void> {
    const admission = this.#admission(connection);
    const frames = new FrameStream(new ByteStream(stream), methods.gate);
    try {
      await side({
        stream: frames,
        secret: this.#secret,
        ownPeerId: this.#host.peerId.toString(),
        remotePeerId: connection.remotePeer.toString(),
        signal: AbortSignal.timeout(methods.gate.openTimeoutMs),
        onRemoteProven: () => (admission.proven = true),
      });
      admission.passed.resolve();
    } catch (error) {
      frames.abort();
      throw error;
    }
  }

  #refuse(connection: Connection, reason: unknown): void {
    const error = asSkeinError(reason, 'peer-lost');
    const admission = this.#admission(connection);
    admission.proven = false;
    admission.passed.reject(error);
    if (connection.status === 'open') {
      const remote = { peer: connection.remotePeer.toString(), address: connection.remoteAddr.toString() };
      this.#logger.debug({ ...remote, code: error.code, reason: error.message }, 'connection refused at the gate');
    }
    connection.abort(error);
  }
}
