import { SkeinError, type Method } from '@skein/protocol';

import type { TransferServer } from '../serve-models.ts';
import type { OpenTransfer, TransferStream } from '../transfer-stream.ts';
import { transferPair } from './transfer-pair.ts';

type Handler = (stream: TransferStream) => Promise<void>;

/** Peers in memory that answer each other. */
export class FakeMesh {
  readonly #handlers = new Map<string, Handler>();
  /** Peers in the order in which streams to them were opened. */
  readonly opened: string[] = [];

  /** The side of a peer that serves. */
  server(peer: string): TransferServer {
    return { handle: (method, handler) => this.handle(peer, method, handler) };
  }

  handle(peer: string, method: Method, handler: Handler): void {
    this.#handlers.set(`${peer} ${method.id}`, handler);
  }

  readonly open: OpenTransfer = async (peer, method) => {
    this.opened.push(peer);
    const handler = this.#handlers.get(`${peer} ${method.id}`);
    if (handler === undefined) throw new SkeinError('peer-lost', `${peer} is not there`);
    const [near, far] = transferPair();
    void handler(far).then(
      () => far.end(),
      (error: unknown) => far.fail(error),
    );
    return await Promise.resolve(near);
  };
}
