import { eventStreamHeaders, type Body } from './body.ts';

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

  #caughtUp(): void {
    this.#behind?.resolve();
    this.#behind = undefined;
  }
}
