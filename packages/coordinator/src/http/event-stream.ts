/** One server-sent event: a value that is sent as JSON, or a text that is sent as it is. */
export type ServerSentEvent = object | string;

/**
 * Answers with server-sent events, pulled as fast as the client takes them. Waits for the first one: what goes wrong
 * before it is thrown here and can still get a proper HTTP status. From then on the iterable turns its errors into
 * events, since a body that breaks off tells a client nothing. When the client goes away, `cancel` is called and the
 * iteration ended.
 */
export async function eventStream(
  events: AsyncIterable<ServerSentEvent>,
  options: { cancel: () => void },
): Promise<Response> {
  const iterator = events[Symbol.asyncIterator]();
  const encoder = new TextEncoder();
  let first: IteratorResult<ServerSentEvent> | undefined = await iterator.next();
  const body = new ReadableStream<Uint8Array>({
    async pull(controller) {
      const next = first ?? (await iterator.next());
      first = undefined;
      if (next.done === true) return controller.close();
      const data = typeof next.value === 'string' ? next.value : JSON.stringify(next.value);
      return controller.enqueue(encoder.encode(`data: ${data}\n\n`));
    },
    async cancel() {
      // Before return(), which waits for the pending next() of a generator.
      options.cancel();
      await iterator.return?.();
    },
  });
  return new Response(body, {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  });
}
