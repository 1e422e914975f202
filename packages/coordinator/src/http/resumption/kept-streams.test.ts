import { describe, expect, it } from 'vitest';

import { ManualTimers } from '../../testing/manual-timers.ts';
import { KeptStreams, keptStreamLimits, type KeptStream, type KeptStreamLimits } from './kept-streams.ts';

const quiet = { cut: () => undefined };

function streamsOf(limits: Partial<KeptStreamLimits> = {}) {
  const timers = new ManualTimers();
  const streams = new KeptStreams<string>({ schedule: timers.schedule, limits: { ...keptStreamLimits, ...limits } });
  const keep = (id: string, requestCharacters = 0): KeptStream<string> =>
    streams.keep(id, { principal: 'ann', answer: `answer of ${id}`, requestCharacters });
  return { timers, streams, keep };
}

it("finds a stream for its own principal alone, and for two minutes after its connection's end", async () => {
  const { timers, streams, keep } = streamsOf();
  const stream = keep('one');
  const over = await stream.take(quiet);
  stream.append('a');
  timers.advance(1e9);
  expect(streams.find('one', 'ann')).toBe(stream);
  expect(streams.find('one', 'bob')).toBeUndefined();
  expect(streams.find('two', 'ann')).toBeUndefined();
  over();
  timers.advance(119_999);
  expect(streams.find('one', 'ann')).toBe(stream);
  timers.advance(1);
  expect(streams.find('one', 'ann')).toBeUndefined();
  expect([streams.size, streams.characters, timers.count]).toEqual([0, 0, 0]);
});

it('counts the two minutes anew from the end of each connection', async () => {
  const { timers, streams, keep } = streamsOf();
  const stream = keep('one');
  const first = await stream.take(quiet);
  stream.append('a');
  first();
  timers.advance(100_000);
  const second = await stream.take(quiet);
  timers.advance(100_000);
  second();
  timers.advance(100_000);
  expect(streams.find('one', 'ann')).toBe(stream);
  timers.advance(20_000);
  expect(streams.find('one', 'ann')).toBeUndefined();
});

it('cuts the connection that carries the stream, and waits for its last event', async () => {
  const { keep } = streamsOf();
  const stream = keep('one');
  const cut = Promise.withResolvers<void>();
  const over = await stream.take({ cut: cut.resolve });
  stream.append('a');
  const taken = stream.take(quiet);
  await cut.promise;
  stream.append('b');
  over();
  await taken;
  expect(stream.after(0)).toBe('id: one:1\naid: one:2\nb');
});

it('keeps nothing of a stream that told nothing', async () => {
  const { streams, keep } = streamsOf();
  const over = await keep('one').take(quiet);
  over();
  expect(streams.size).toBe(0);
});

describe('bounds', () => {
  it('forget the oldest of too many streams, those without a connection first', async () => {
    const { streams, keep } = streamsOf({ streams: 2 });
    await keep('running').take(quiet);
    const broken = keep('broken');
    const over = await broken.take(quiet);
    broken.append('a');
    over();
    keep('new');
    expect(streams.find('running', 'ann')).toBeDefined();
    expect(streams.find('broken', 'ann')).toBeUndefined();
    await keep('newest').take(quiet);
    expect(streams.size).toBe(2);
  });

  it('hold for requests and events of all streams together, whatever is sent', async () => {
    const { streams, keep } = streamsOf({ characters: 1000, streamCharacters: 400 });
    const all = Array.from({ length: 20 }, (_, index) => keep(`s${index}`, 100));
    await Promise.all(all.map(async (stream) => await stream.take(quiet)));
    for (let round = 0; round < 50; round += 1) {
      for (const stream of all) {
        expect(stream.append('0123456789')).toBe(`id: ${stream.id}:${round + 1}\n0123456789`);
        expect(streams.characters).toBeLessThanOrEqual(1000);
      }
    }
    keep('larger than all', 1001);
    expect(streams.characters).toBeLessThanOrEqual(1000);
    expect(streams.find('larger than all', 'ann')).toBeUndefined();
  });
});
