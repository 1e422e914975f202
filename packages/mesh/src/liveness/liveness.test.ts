import { silentLogger, type Alive } from '@skein/protocol';
import { expect, test } from 'vitest';

import { FrameStream } from '../streams/frame-stream.ts';
import { memoryStreamPair } from '../transport/memory/memory-stream.ts';
import { Liveness } from './liveness.ts';

const maxFrameBytes = 256;

/** The liveness of a member, and the far ends of the streams that it opens. */
function livenessOf(isConnected: () => boolean = () => true) {
  const died = Promise.withResolvers<string>();
  const opened: FrameStream[] = [];
  const liveness = new Liveness({
    times: { beatMs: 10, deadAfterMs: 100 },
    logger: silentLogger,
    isConnected,
    open: async () => {
      const [near, far] = memoryStreamPair();
      opened.push(new FrameStream(far, { maxFrameBytes }));
      return new FrameStream(near, { maxFrameBytes });
    },
    receivedBytes: () => 0,
    onDead: ({ peerId }) => died.resolve(peerId),
  });
  return { liveness, died: died.promise, opened, [Symbol.dispose]: () => liveness.stop() };
}

/** Lets it hear one heartbeat of a member. Resolves when the stream is over. */
async function hear(liveness: Liveness, peerId: string, heartbeat: Alive): Promise<void> {
  const [near, far] = memoryStreamPair();
  const sender = new FrameStream(far, { maxFrameBytes });
  await sender.write(heartbeat);
  await sender.end();
  await liveness.listen(peerId, new FrameStream(near, { maxFrameBytes }));
}

test('is as patient with a member as the more patient of the two wants it', async () => {
  using member = livenessOf();
  await hear(member.liveness, 'on wifi', { type: 'alive', deadAfterMs: 10_000 });
  await hear(member.liveness, 'on a cable', { type: 'alive', deadAfterMs: 100 });
  member.liveness.start();
  expect(await member.died).toBe('on a cable');
});

test('takes a member for dead that is connected and never sends anything', async () => {
  using member = livenessOf();
  member.liveness.start();
  member.liveness.connected('cut off at once');
  await hear(member.liveness, 'on wifi', { type: 'alive', deadAfterMs: 10_000 });
  expect(await member.died).toBe('cut off at once');
}, 20_000);

test('refuses a heartbeat that asks for more patience than there is', async () => {
  using member = livenessOf();
  const heartbeat: Alive = { type: 'alive', deadAfterMs: 60_000 };
  await expect(hear(member.liveness, 'greedy', heartbeat)).rejects.toMatchObject({ code: 'protocol-violation' });
});

test('tells the others when it needs more patience, and has more itself', async () => {
  using member = livenessOf();
  const done = member.liveness.heartbeat('other');
  await expect.poll(() => member.opened.length).toBe(1);
  const [stream] = member.opened;
  expect((await stream?.read())?.header).toEqual({ type: 'alive', deadAfterMs: 100 });
  member.liveness.adopt({ beatMs: 10, deadAfterMs: 10_000 });
  await expect.poll(async () => (await stream?.read())?.header).toEqual({ type: 'alive', deadAfterMs: 10_000 });
  await hear(member.liveness, 'heard since', { type: 'alive', deadAfterMs: 100 });
  member.liveness.adopt({ beatMs: 10, deadAfterMs: 100 });
  await hear(member.liveness, 'heard later', { type: 'alive', deadAfterMs: 100 });
  member.liveness.start();
  expect(await member.died).toBe('heard later');
  member.liveness.stop();
  await done;
});

test('sends heartbeats on one stream to a member, on another one when that is lost, and none after the end', async () => {
  let isConnected = true;
  using member = livenessOf(() => isConnected);
  const done = Promise.all([member.liveness.heartbeat('other'), member.liveness.heartbeat('other')]);
  await expect.poll(() => member.opened.length).toBe(1);
  const [first] = member.opened;
  for (let count = 0; count < 3; count += 1) {
    expect((await first?.read())?.header).toEqual({ type: 'alive', deadAfterMs: 100 });
  }
  first?.abort();
  await expect.poll(() => member.opened.length).toBe(2);
  const second = member.opened[1];
  expect((await second?.read())?.header).toEqual({ type: 'alive', deadAfterMs: 100 });
  isConnected = false;
  second?.abort();
  await done;
  expect(member.opened).toHaveLength(2);
});
