import type { Block } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { randomNumbers } from '../testing/fixtures.ts';
import { balanceLayers, type Balanced, type BalancedPeer, type BalanceOptions } from './balance-layers.ts';

type Options = BalanceOptions<BalancedPeer>;
type Split = readonly Balanced<BalancedPeer>[];

const countLayers = ({ from, to }: Block) => to - from;

function peersOf(...peers: readonly (readonly [freeBytes: number, speed: number])[]): BalancedPeer[] {
  return peers.map(([freeBytes, speed]) => ({ freeBytes, speed, holdsModel: false }));
}

function slowest(split: Split, { decodeWork }: Options): number {
  return Math.max(...split.map(({ peer, block }) => decodeWork(block) / peer.speed));
}

/** Every split that fits, whatever its cost. */
function* allSplits(options: Options, from = 0, used: readonly BalancedPeer[] = []): Generator<Split> {
  const { layers, multiple, stages, memory, peers } = options;
  if (used.length === stages) {
    if (from === layers) yield [];
    return;
  }
  for (const peer of peers.filter((one) => !used.includes(one))) {
    for (let to = from + multiple; to < layers + multiple; to += multiple) {
      const block = { from, to: Math.min(to, layers) };
      if (block.from >= block.to || memory(block, peer) > peer.freeBytes) continue;
      for (const rest of allSplits(options, block.to, [...used, peer])) yield [{ peer, block }, ...rest];
    }
  }
}

function randomOptions(seed: number, greatest: { layers: number; peers: number }): Options {
  const random = randomNumbers(seed);
  const upTo = (most: number) => 1 + Math.floor(random() * most);
  const layerBytes = Array.from({ length: upTo(greatest.layers) }, () => upTo(9));
  const outputBytes = upTo(9);
  const layers = layerBytes.length;
  const bytes = ({ from, to }: Block) =>
    layerBytes.slice(from, to).reduce((sum, one) => sum + one, 0) + (to === layers ? outputBytes : 0);
  const peers = Array.from({ length: upTo(greatest.peers) }, () => ({
    freeBytes: upTo(40),
    speed: upTo(4),
    holdsModel: random() < 0.3,
  }));
  const stages = upTo(peers.length);
  return { layers, multiple: upTo(3), stages, memory: (block) => bytes(block) + 2, decodeWork: bytes, peers };
}

describe('splits of small models over few peers', () => {
  const rounds = Array.from({ length: 400 }, (_, seed) => randomOptions(seed, { layers: 8, peers: 4 })).map(
    (options) => ({
      options,
      every: [...allSplits(options)],
      found: balanceLayers(options),
    }),
  );

  it('are found exactly when there are any', () => {
    for (const { every, found } of rounds) expect(found !== undefined).toBe(every.length > 0);
    const possible = rounds.filter(({ found }) => found !== undefined).length;
    expect(possible).toBeGreaterThan(100);
    expect(possible).toBeLessThan(350);
  });

  it('have the fastest slowest stage of all, and of those the least to fetch', () => {
    for (const { options, every, found } of rounds) {
      if (found === undefined) continue;
      const fetched = (split: Split) =>
        split.reduce((sum, { peer, block }) => sum + (peer.holdsModel ? 0 : options.decodeWork(block)), 0);
      const least = Math.min(...every.map((split) => slowest(split, options)));
      expect(slowest(found, options)).toBe(least);
      const alike = every.filter((split) => slowest(split, options) === least);
      expect(fetched(found)).toBe(Math.min(...alike.map(fetched)));
    }
  });
});

it('covers all layers once, cut where it is allowed, on peers that have the room, each used once', () => {
  for (let seed = 0; seed < 200; seed += 1) {
    const options = randomOptions(seed, { layers: 40, peers: 6 });
    const split = balanceLayers(options);
    if (split === undefined) continue;
    const ends = split.map(({ block }) => block.to);
    expect(split.map(({ block }) => block.from)).toEqual([0, ...ends.slice(0, -1)]);
    expect(ends.at(-1)).toBe(options.layers);
    expect(ends.slice(0, -1).filter((end) => end % options.multiple !== 0)).toEqual([]);
    expect(split).toHaveLength(options.stages);
    expect(new Set(split.map(({ peer }) => peer)).size).toBe(options.stages);
    for (const { peer, block } of split) expect(options.memory(block, peer)).toBeLessThanOrEqual(peer.freeBytes);
  }
});

it('is never slower than a split in proportion to free memory', () => {
  let compared = 0;
  for (let seed = 0; seed < 1000; seed += 1) {
    const options = randomOptions(seed, { layers: 40, peers: 6 });
    const proportional = inProportion(options);
    if (proportional === undefined) continue;
    compared += 1;
    const split = balanceLayers(options);
    expect(split && slowest(split, options)).toBeLessThanOrEqual(slowest(proportional, options));
  }
  expect(compared).toBeGreaterThan(50);
});

/** Undefined where it does not fit, or leaves a peer without layers. */
function inProportion({ layers, multiple, stages, memory, peers }: Options): Split | undefined {
  const chosen = peers.slice(0, stages);
  const allBytes = chosen.reduce((sum, { freeBytes }) => sum + freeBytes, 0);
  let [bytes, from] = [0, 0];
  const split = chosen.map((peer, stage) => {
    bytes += peer.freeBytes;
    const to = stage === stages - 1 ? layers : Math.round((layers * bytes) / allBytes / multiple) * multiple;
    const block = { from, to: Math.min(to, layers) };
    from = block.to;
    return { peer, block };
  });
  return split.every(({ peer, block }) => block.from < block.to && memory(block, peer) <= peer.freeBytes)
    ? split
    : undefined;
}

it('gives a peer that is twice as fast twice the layers', () => {
  const peers = peersOf([99, 1], [99, 2]);
  const split = balanceLayers({
    layers: 30,
    multiple: 1,
    stages: 2,
    memory: countLayers,
    decodeWork: countLayers,
    peers,
  });
  expect(split?.map(({ peer, block }) => [peer.speed, countLayers(block)]).sort()).toEqual([
    [1, 10],
    [2, 20],
  ]);
});

it('is as even as can be behind the slowest stage', () => {
  const peers = peersOf([99, 1], [99, 1], [99, 1], [99, 1]);
  const split = balanceLayers({
    layers: 30,
    multiple: 1,
    stages: 4,
    memory: countLayers,
    decodeWork: countLayers,
    peers,
  });
  expect(split?.map(({ block }) => countLayers(block)).sort()).toEqual([7, 7, 8, 8]);
});

it('takes peers in their order when that is fixed', () => {
  const peers = peersOf([5, 1], [99, 9], [99, 1]);
  const options = { layers: 12, multiple: 1, stages: 3, memory: countLayers, decodeWork: countLayers, peers };
  expect(balanceLayers({ ...options, isOrderFixed: true })?.map(({ peer }) => peer)).toEqual(peers);
});

it('keeps to the ends that were asked for', () => {
  const peers = peersOf([4, 1], [99, 1]);
  const options = { layers: 10, multiple: 1, stages: 2, memory: countLayers, decodeWork: countLayers, peers };
  const split = balanceLayers({ ...options, ends: [8, 10] });
  expect(split?.map(({ peer, block }) => [peer.freeBytes, block.to])).toEqual([
    [99, 8],
    [4, 10],
  ]);
  expect(balanceLayers({ ...options, ends: [5, 10] })).toBeUndefined();
});
