import { access, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { invariant } from '@skein/protocol';
import { expect, test } from 'vitest';

import { beginOf, bestCut, elementAt, goodChains, type Chain, type ChainProblem } from './search/index.ts';

/**
 * The cluster of 24 on which Helix was simulated (Mei et al., ASPLOS 2025; Thesys-lab/Helix-ASPLOS25, Apache-2.0): its
 * machines, and the milliseconds of a layer of Llama 2 70B on each by the rows of a batch. It lies beside the project.
 */
const cases = fileURLToPath(new URL('../../../../../shared/planner-cases/', import.meta.url));
const isThere = await access(cases).then(
  () => true,
  () => false,
);

type Kind = 'A100' | 'L4' | 'T4';
/** Layers that half of a machine's memory holds. */
const layersInHalf: Readonly<Record<Kind, number>> = { A100: 12, L4: 7, T4: 4 };
/** Tokens of keys and values beside so many layers, as Helix' own layouts of separate pipelines state them. */
const separate: readonly { readonly kind: Kind; readonly layers: readonly number[]; readonly cacheTokens: number }[] = [
  { kind: 'A100', layers: [20, 20, 20, 20], cacheTokens: 24_595 },
  { kind: 'L4', layers: Array.from({ length: 8 }, () => 10), cacheTokens: 59_360 },
  { kind: 'T4', layers: [6, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7], cacheTokens: 6400 },
];
const published = { helix: 252.1, swarm: 124.7, separate: 124.3 };

const layers = 80;
/** Tokens of a request, on average over Helix' trace. */
const [promptTokens, answerTokens] = [763, 232];
/** Requests that a pipeline has at most at once, vLLM's default. */
const mostRequests = 256;
const hopMs = 1;
const msPerByte = 1000 / 1e9;
const activationBytes = 8192 * 2;

/** Milliseconds of a layer by rows; between two measured sizes by a straight line, beyond the last by its slope. */
type LayerTime = (rows: number) => number;

async function layerTime(name: string): Promise<LayerTime> {
  const text = await readFile(`${cases}llama2-70b-${name}.csv`, 'utf8');
  const points = text
    .trim()
    .split('\n')
    .map((line) => line.split(',').map(Number));
  return (rows) => {
    const next = points.findIndex(([size = 0]) => size >= rows);
    const [below, above] = next < 1 ? [points.at(-2), points.at(-1)] : [points[next - 1], points[next]];
    const [[x0 = 0, y0 = 0], [x1 = 1, y1 = 0]] = [below ?? [], above ?? []];
    // Batches of one row take as long as those of two.
    return Math.max(
      elementAt(elementAt(points, 1), 1) * (rows > 0 ? 1 : 0) * (rows < 100 ? 1 : 0),
      y0 + ((rows - x0) * (y1 - y0)) / (x1 - x0),
    );
  };
}

interface Stage {
  readonly layers: number;
  readonly decode: LayerTime;
  readonly prompt: LayerTime;
}

/** An item on its way through the stages: the sequences of a micro-batch, by their tokens that are left, or one prompt. */
type Item = { readonly kind: 'decode'; left: number[] } | { readonly kind: 'prompt' };

/**
 * Simulates a pipeline that never lacks requests, and returns the tokens of answers a second. As many micro-batches of
 * decoding sequences are in flight as it has stages; each stage takes them before prompts, which pass it by themselves.
 * A request that ends is replaced by the next one.
 */
function simulate(stages: readonly Stage[], requests: number): number {
  const groups: Item[] = Array.from({ length: Math.min(stages.length, requests) }, () => ({
    kind: 'decode',
    left: [],
  }));
  const decoding = () => groups.flatMap((group) => (group.kind === 'decode' ? [group] : []));
  // As if they had begun at different times.
  for (let one = 0; one < requests; one += 1) {
    elementAt(decoding(), one % groups.length).left.push(1 + Math.floor((one * answerTokens) / requests));
  }
  const waiting = stages.map((): { decode: Item[]; prompt: Item[] } => ({ decode: [], prompt: [] }));
  const running = new Map<number, { readonly item: Item; readonly untilMs: number }>();
  let moving: { readonly item: Item; readonly stage: number; readonly atMs: number }[] = groups.map((item) => ({
    item,
    stage: 0,
    atMs: 0,
  }));
  const [fromMs, untilMs] = [100_000, 160_000];
  let tokens = 0;
  const rowsOf = (item: Item) => (item.kind === 'decode' ? item.left.length : promptTokens);
  const leave = (item: Item, nowMs: number) => {
    const ended = item.kind === 'decode' ? item.left.filter((left) => left === 1).length : 0;
    if (item.kind === 'decode') {
      if (nowMs > fromMs) tokens += item.left.length;
      item.left = item.left.filter((left) => left > 1).map((left) => left - 1);
      if (item.left.length > 0) moving.push({ item, stage: 0, atMs: nowMs + hopMs });
    } else {
      const smallest = decoding().reduce((one, other) => (other.left.length < one.left.length ? other : one));
      smallest.left.push(answerTokens);
      if (smallest.left.length === 1) moving.push({ item: smallest, stage: 0, atMs: nowMs + hopMs });
    }
    for (let one = 0; one < ended; one += 1) moving.push({ item: { kind: 'prompt' }, stage: 0, atMs: nowMs });
  };
  for (;;) {
    const done = [...running].reduce((first, one) => (one[1].untilMs < first[1].untilMs ? one : first), [
      -1,
      { untilMs: Infinity },
    ] as [number, { readonly item?: Item; readonly untilMs: number }]);
    const next = moving.reduce((first, one) => Math.min(first, one.atMs), Infinity);
    const nowMs = Math.min(done[1].untilMs, next);
    if (nowMs > untilMs) return (tokens * 1000) / (untilMs - fromMs);
    const [stage, { item }] = done;
    if (item !== undefined && done[1].untilMs <= next) {
      running.delete(stage);
      if (stage === stages.length - 1) leave(item, nowMs);
      else moving.push({ item, stage: stage + 1, atMs: nowMs + hopMs + rowsOf(item) * activationBytes * msPerByte });
    } else {
      for (const one of moving.filter(({ atMs }) => atMs <= nowMs))
        elementAt(waiting, one.stage)[one.item.kind].push(one.item);
      moving = moving.filter(({ atMs }) => atMs > nowMs);
    }
    for (const [index, { decode, prompt }] of waiting.entries()) {
      if (running.has(index)) continue;
      const taken = decode.shift() ?? prompt.shift();
      if (taken === undefined) continue;
      const { layers: count, ...times } = elementAt(stages, index);
      running.set(index, { item: taken, untilMs: nowMs + count * times[taken.kind](rowsOf(taken)) });
    }
  }
}

test.skipIf(!isThere)("beats separate pipelines on Helix' cluster of 24 clearly", async () => {
  const timeOf = async (kind: Kind) => ({
    decode: await layerTime(`${kind.toLowerCase()}-decode`),
    prompt: await layerTime(`${kind.toLowerCase()}-prompt`),
  });
  const times = new Map<Kind, Awaited<ReturnType<typeof timeOf>>>();
  for (const kind of ['A100', 'L4', 'T4'] as const) times.set(kind, await timeOf(kind));
  const on = (kind: Kind) => invariant(times.get(kind), 'each kind has its tables');

  const machines = [...(await readFile(`${cases}single24.ini`, 'utf8')).matchAll(/^type=(\w+)$/gm)].map(
    ([, kind]) => kind as Kind,
  );
  expect(machines).toHaveLength(24);
  const apart = separate.map(({ kind, layers: counts, cacheTokens }) =>
    simulate(
      counts.map((count) => ({ layers: count, ...on(kind) })),
      Math.min(mostRequests, Math.floor(cacheTokens / (promptTokens + answerTokens))),
    ),
  );
  const apartTogether = apart.reduce((sum, one) => sum + one, 0);

  const width = layers + 1;
  const problemFor = (rows: number): ChainProblem => ({
    units: layers,
    stages: machines.map((kind) => {
      const { decode, prompt } = on(kind);
      const layerMs = decode(rows) + (rows * prompt(promptTokens)) / answerTokens;
      const costs = new Float64Array(width ** 2).fill(Infinity);
      for (let from = 0; from < layers; from += 1) {
        for (let count = 1; count <= Math.min(layersInHalf[kind], layers - from); count += 1) {
          costs[from * width + from + count] = count * layerMs;
        }
      }
      return costs;
    }),
    hops: new Float64Array(machines.length ** 2),
  });
  const stagesOf = ({ peers, ends }: Chain): readonly Stage[] =>
    peers.map((peer, stage) => ({
      layers: elementAt(ends, stage) - beginOf(ends, stage),
      ...on(elementAt(machines, peer)),
    }));
  let best = { speed: 0, stages: 0 };
  for (const length of [20, 24]) {
    const problem = problemFor(Math.ceil(mostRequests / length));
    for (const chain of goodChains(problem, 'max', { least: length, most: length })) {
      if (chain?.peers.length !== length) continue;
      const even = bestCut(chain.peers, problem, { aim: 'sum', bound: chain.cost, evenness: 1e-3 }) ?? chain;
      const speed = simulate(stagesOf(even), mostRequests);
      if (speed > best.speed) best = { speed, stages: length };
    }
  }
  if (process.env['SKEIN_GAPS'] !== undefined) {
    const factor = best.speed / apartTogether;
    process.stdout.write(
      `one chain of ${best.stages}: ${best.speed.toFixed(1)} tokens/s; separate pipelines: ${apartTogether.toFixed(1)} (${apart.map((one) => one.toFixed(1)).join(' + ')}), ` +
        `so ${factor.toFixed(2)} times; Helix published ${published.helix} against ${published.separate}, ${(published.helix / published.separate).toFixed(2)} times\n`,
    );
  }
  expect(best.speed).toBeGreaterThan(1.2 * apartTogether);
  expect(best.speed).toBeGreaterThan(published.separate);
});
