import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { expect, it } from 'vitest';

import { eventStream, type EventSink, type EventStreamOptions } from './event-stream.ts';

const quiet = { cancel: () => undefined, onError: () => undefined };

/** A server that answers every request with what is produced, and a client's first look at the answer. */
async function ask(
  produce: (sink: EventSink) => Promise<void>,
  options: Partial<EventStreamOptions> = {},
): Promise<{ response: IncomingMessage } & AsyncDisposable> {
  const server: Server = createServer(
    (_, outgoing) => void eventStream(produce, { ...quiet, ...options, outgoing }).catch(() => outgoing.destroy()),
  );
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const sent = request(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).end();
  const [response] = (await once(sent, 'response')) as [IncomingMessage];
  return {
    response,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      server.close();
      await once(server, 'close');
    },
  };
}

it('sends what is ready at the same time in one piece', async () => {
  await using asked = await ask(async (sink) => {
    for (let event = 0; event < 100; event += 1) {
      sink.send({ event });
      await Promise.resolve();
    }
  });
  const chunks: Buffer[] = [];
  for await (const chunk of asked.response) chunks.push(chunk as Buffer);
  expect(chunks).toHaveLength(1);
  expect(Buffer.concat(chunks).toString().split('\n\n')).toHaveLength(101);
});

it('has the producer wait for a client that does not read, and tells when that one goes away', async () => {
  const behind = Promise.withResolvers<void>();
  const gone = new AbortController();
  const over = Promise.withResolvers<number>();
  const produce = async (sink: EventSink) => {
    let events = 0;
    for (; !gone.signal.aborted; events += 1) {
      sink.send({ text: 'x'.repeat(1000) });
      if (sink.behind !== undefined) behind.resolve();
      await sink.behind;
    }
    over.resolve(events);
  };
  await using asked = await ask(produce, { cancel: () => gone.abort() });
  await behind.promise;
  asked.response.destroy();
  // What fits into the buffers of a connection, not what a producer makes without end.
  expect(await over.promise).toBeLessThan(100_000);
});

it('throws what fails before the first event, and tells of what fails later in one', async () => {
  const failure = new Error('secret');
  const early = eventStream(async () => await Promise.reject(failure), { ...quiet, outgoing: undefined });
  await expect(early).rejects.toBe(failure);
  const errors: unknown[] = [];
  const onError = (error: unknown) => errors.push(error);
  await using asked = await ask(
    async (sink) => {
      sink.send({ first: true });
      throw failure;
    },
    { onError },
  );
  let text = '';
  for await (const chunk of asked.response) text += String(chunk);
  expect(text).toMatch(/^data: {"first":true}\n\ndata: {"error":{.*"code":"internal"}}\n\n$/);
  expect(text).not.toContain('secret');
  expect(errors).toEqual([failure]);
});
