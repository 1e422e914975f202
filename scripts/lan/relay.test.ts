import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

import { expect, test } from 'vitest';

import { Relay, type RelayConditions } from './relay.ts';

/** Two sockets that talk through a relay. */
async function through(conditions: Partial<RelayConditions>) {
  const stack = new AsyncDisposableStack();
  const server = createServer({ allowHalfOpen: true }).listen(0, '127.0.0.1');
  stack.defer(() => void server.close());
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const relay = stack.use(await Relay.listen({ host: '127.0.0.1', to: { host: '127.0.0.1', port }, ...conditions }));
  const accepted = once(server, 'connection') as Promise<[Socket]>;
  const near = connect({ host: '127.0.0.1', port: relay.port, allowHalfOpen: true });
  const [far] = await accepted;
  for (const socket of [near, far]) {
    socket.on('error', () => undefined);
    stack.defer(() => void socket.destroy());
  }
  return { relay, near, far, [Symbol.asyncDispose]: async () => await stack.disposeAsync() };
}

async function read(socket: Socket, bytes: number): Promise<string> {
  let text = '';
  for await (const chunk of socket.iterator({ destroyOnReturn: false })) {
    text += String(chunk);
    if (text.length >= bytes) break;
  }
  return text;
}

test('carries both directions and the end of each, in order however much times vary', async () => {
  await using pair = await through({ delayMs: 3, jitterMs: 3, lossRate: 0.02 });
  const sent = Array.from({ length: 200 }, (_, index) => `${index} `);
  for (const text of sent) pair.near.write(text);
  pair.near.end();
  expect(await read(pair.far, Infinity)).toBe(sent.join(''));
  pair.far.end('all of it');
  expect(await read(pair.near, Infinity)).toBe('all of it');
});

test('takes its time', async () => {
  await using pair = await through({ delayMs: 50 });
  const startedMs = performance.now();
  pair.near.write('hello');
  await read(pair.far, 5);
  // Timers may be a millisecond early.
  expect(performance.now() - startedMs).toBeGreaterThan(48);
});

test('lets nothing through while it is cut, tells nobody, and goes on after that', async () => {
  await using pair = await through({});
  pair.near.write('before');
  expect(await read(pair.far, 6)).toBe('before');
  pair.relay.cut();
  let arrived = '';
  const closed: string[] = [];
  pair.far.on('data', (chunk) => (arrived += String(chunk)));
  pair.far.on('close', () => closed.push('far'));
  pair.near.end('behind');
  // A relay that isn't cut would have carried "behind" by the time that another one carried this.
  await using other = await through({});
  other.near.write('compare');
  await read(other.far, 7);
  expect([arrived, closed]).toEqual(['', []]);

  pair.relay.restore();
  await once(pair.far, 'end');
  expect(arrived).toBe('behind');
});

test('resets what it carries', async () => {
  await using pair = await through({});
  const closed = [pair.near, pair.far].map((socket) => new Promise((resolve) => socket.on('close', resolve)));
  pair.relay.reset();
  await Promise.all(closed);
  expect([pair.near.errored, pair.far.errored]).toEqual([
    expect.objectContaining({ code: 'ECONNRESET' }),
    expect.objectContaining({ code: 'ECONNRESET' }),
  ]);
});
