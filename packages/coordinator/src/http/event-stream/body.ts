/** The text on its way to a client. All text of one turn of the event loop goes out in one piece. */
export interface Body {
  /** Sends the headers, unless they are out. */
  open(): void;
  write(text: string): void;
  end(): void;
  /** Undefined while the client keeps up, else resolves when it does again or is gone. */
  readonly behind: Promise<void> | undefined;
  /** Resolves, with the response for Hono, when the headers go out or the client is gone. */
  readonly begun: Promise<Response>;
}

export const eventStreamHeaders = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache',
} as const;
