import type { ServerResponse } from 'node:http';

import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';

import { eventStreamHeaders, type Body } from './body.ts';

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
