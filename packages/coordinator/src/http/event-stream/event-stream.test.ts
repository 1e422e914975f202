import { once } from 'node:events';
import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { SkeinError } from '@skein/protocol';
import { expect, it } from 'vitest';

import { ManualTimers } from '../../testing/manual-timers.ts';
import { eventStream, type EventSink, type EventStreamOptions } from './event-stream.ts';

const quiet = { cancel: () => undefined, onError: () => undefined, schedule: new ManualTimers().schedule };

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
  // Only as much as a connection's buffers hold, though the producer never ends.
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

it('sends the headers when it is opened, before there is an event', async () => {
  const event = Promise.withResolvers<void>();
  await using asked = await ask(async (sink) => {
    sink.open();
    await event.promise;
    sink.send({ late: true });
  });
  expect(asked.response.statusCode).toBe(200);
  expect(asked.response.headers['content-type']).toMatch('text/event-stream');
  event.resolve();
  let text = '';
  for await (const chunk of asked.response) text += String(chunk);
  expect(text).toBe('data: {"late":true}\n\n');
});

it('makes an event of what fails after it was opened', async () => {
  await using asked = await ask(async (sink) => {
    sink.open();
    throw new SkeinError('does-not-fit', 'no machine has the room');
  });
  let text = '';
  for await (const chunk of asked.response) text += String(chunk);
  expect(text).toMatch(/^data: {"error":{.*"code":"does_not_fit"}}\n\n$/);
});

it('is never silent for ten seconds, and says nothing of its own while events come', async () => {
  const timers = new ManualTimers();
  const over = Promise.withResolvers<void>();
  let sink: EventSink | undefined;
  const response = await eventStream(
    async (opened) => {
      sink = opened;
      opened.open();
      await over.promise;
    },
    { ...quiet, outgoing: undefined, schedule: timers.schedule },
  );
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  timers.advance(5000);
  expect((await reader?.read())?.value).toBe(': keep-alive\n\n');
  for (let event = 0; event < 3; event += 1) {
    timers.advance(4000);
    sink?.send({ event });
    expect((await reader?.read())?.value).toBe(`data: {"event":${event}}\n\n`);
  }
  timers.advance(10_000);
  expect((await reader?.read())?.value).toBe(': keep-alive\n\n');
  over.resolve();
  expect((await reader?.read())?.done).toBe(true);
  expect(timers.count).toBe(0);
});
