import type { ServerResponse } from 'node:http';

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';

/** The text on its way to a client. All text of one turn of the event loop goes out in one piece. */
export interface Body {
  /** Sends the headers, unless they are out. */
  open(): void;
  write(text: string): void;
  end(): void;
  /** Breaks the connection off. */
  destroy(): void;
  /** Undefined while the client keeps up, else resolves when it does again or is gone. */
  readonly behind: Promise<void> | undefined;
  /** Resolves, with the response for Hono, when the headers go out or the client is gone. */
  readonly begun: Promise<Response>;
}

const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
} as const;

/** Most characters that are collected before they are written. */
const maxPendingCharacters = 16 * 1024;

/** A body that is written to Node's response itself: the web's streams would cost more than all else per token. */
export class NodeBody implements Body {
  readonly #outgoing: ServerResponse;
  readonly #begun = Promise.withResolvers<Response>();
  #pending = '';
  #isScheduled = false;
  #behind: PromiseWithResolvers<void> | undefined;

  constructor(outgoing: ServerResponse, onGone: () => void) {
    this.#outgoing = outgoing;
    outgoing.on('drain', () => this.#caughtUp());
    outgoing.once('close', () => {
      this.#caughtUp();
      this.#begun.resolve(RESPONSE_ALREADY_SENT);
      if (!outgoing.writableFinished) onGone();
    });
  }

  get begun(): Promise<Response> {
    return this.#begun.promise;
  }

  get behind(): Promise<void> | undefined {
    return this.#behind?.promise;
  }

  open(): void {
    const outgoing = this.#outgoing;
    if (outgoing.headersSent || outgoing.destroyed) return;
    outgoing.writeHead(200, eventStreamHeaders);
    // Node keeps them back for the first piece of the body otherwise.
    outgoing.flushHeaders();
    this.#begun.resolve(RESPONSE_ALREADY_SENT);
  }

  write(text: string): void {
    this.#pending += text;
    if (this.#pending.length > maxPendingCharacters) return this.#flush();
    if (this.#isScheduled) return;
    this.#isScheduled = true;
    // Runs once all promises that are settled now have been followed up: one system call for all that was ready.
    process.nextTick(() => {
      this.#isScheduled = false;
      this.#flush();
    });
  }

  end(): void {
    this.#flush();
    this.#outgoing.end();
  }

  destroy(): void {
    this.#outgoing.destroy();
    this.#begun.resolve(RESPONSE_ALREADY_SENT);
  }

  #flush(): void {
    const outgoing = this.#outgoing;
    if (this.#pending === '' || outgoing.destroyed) return;
    if (!outgoing.headersSent) {
      outgoing.writeHead(200, eventStreamHeaders);
      this.#begun.resolve(RESPONSE_ALREADY_SENT);
    }
    const keepsUp = outgoing.write(this.#pending);
    this.#pending = '';
    if (!keepsUp) this.#behind ??= Promise.withResolvers();
  }

  #caughtUp(): void {
    this.#behind?.resolve();
    this.#behind = undefined;
  }
}

/** A body for callers of the app without a server of Node's. */
export class WebBody implements Body {
  readonly #begun = Promise.withResolvers<Response>();
  readonly #encoder = new TextEncoder();
  readonly #response: Response;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #behind: PromiseWithResolvers<void> | undefined;

  constructor(onGone: () => void) {
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#caughtUp(),
      cancel: () => {
        this.#caughtUp();
        onGone();
      },
    });
    this.#response = new Response(stream, { headers: eventStreamHeaders });
  }

  get begun(): Promise<Response> {
    return this.#begun.promise;
  }

  get behind(): Promise<void> | undefined {
    return this.#behind?.promise;
  }

  open(): void {
    this.#begun.resolve(this.#response);
  }

  write(text: string): void {
    this.#controller?.enqueue(this.#encoder.encode(text));
    if ((this.#controller?.desiredSize ?? 1) <= 0) this.#behind ??= Promise.withResolvers();
    this.open();
  }

  end(): void {
    this.#controller?.close();
  }

  destroy(): void {
    this.#caughtUp();
    this.#controller?.error(new Error('the stream goes on over another connection'));
    this.open();
  }

  #caughtUp(): void {
    this.#behind?.resolve();
    this.#behind = undefined;
  }
}
