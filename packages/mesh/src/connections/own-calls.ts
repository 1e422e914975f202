import type { Logger, Method } from '@skein/protocol';

import { FrameStream } from '../streams/frame-stream.ts';
import { memoryStreamPair } from '../transport/memory/memory-stream.ts';
import { answerStream, type StreamHandler } from './serve.ts';

/** Calls of a member to itself, which no transport dials. */
export class OwnCalls {
  readonly #peerId: string;
  readonly #logger: Logger;
  readonly #open = new Set<FrameStream>();

  constructor(peerId: string, logger: Logger) {
    this.#peerId = peerId;
    this.#logger = logger;
  }

  open(method: Method, handler: StreamHandler | undefined): FrameStream {
    const [near, far] = memoryStreamPair();
    const { maxFrameBytes, maxHeaderBytes, openTimeoutMs } = method;
    const frames = new FrameStream(far, { maxFrameBytes, maxHeaderBytes, firstReadTimeoutMs: openTimeoutMs });
    void answerStream({ frames, handler, method, remote: { peerId: this.#peerId }, logger: this.#logger });
    const stream = new FrameStream(near, { maxFrameBytes, maxHeaderBytes });
    this.#open.add(stream);
    void stream.closed.then(() => this.#open.delete(stream));
    return stream;
  }

  /** Ends all streams: no connection closes them. */
  stop(reason: Error): void {
    for (const stream of this.#open) stream.abort(reason);
  }
}
