import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

import { fleets } from './fleet/fleets.ts';
import { simulate, type SimulatedRequest } from './fleet/simulate.ts';
import { losses, summarize } from './report.ts';
import { baselines } from './routers/baselines.ts';
import type { RouterKind } from './routers/router.ts';
import { skein } from './routers/skein.ts';
import { conversations } from './traces/conversations.ts';
import { readTrace } from './traces/read-traces.ts';
import type { Trace } from './traces/request.ts';

const replicas = fleets.even.slice(0, 4);
const traces = fileURLToPath(new URL('../../../shared/traces', import.meta.url));

function run(trace: Trace, { router = skein, load = 0.6, routers = 1 } = {}): readonly SimulatedRequest[] {
  return simulate({ trace, replicas, router, load, routers, seed: 1 });
}

function baseline(name: string): RouterKind {
  const found = baselines.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no baseline is called ${name}`);
  return found;
}

/** Returns the share of the requests that each replica got. */
function shares(outcomes: readonly SimulatedRequest[]): readonly number[] {
  return replicas.map((_, place) => outcomes.filter(({ replica }) => replica === place).length / outcomes.length);
}

/** A trace of prompts, each its own, at equal times: `tokens` says how long the nth is. */
function unique(count: number, { everyMs, tokens }: { everyMs: number; tokens: (nth: number) => number }): Trace {
  const requests = Array.from({ length: count }, (_, nth) => {
    const blocks = Array.from({ length: Math.ceil(tokens(nth) / 128) }, (_, index) => nth * 1000 + index);
    return { atMs: nth * everyMs, tokens: tokens(nth), outputTokens: 64, blocks };
  });
  return { name: 'unique', blockTokens: 128, requests };
}

test('every request is answered once, and the same seed gives the same', () => {
  const trace = conversations(1, 100);
  const outcomes = run(trace);
  expect(outcomes).toHaveLength(trace.requests.length);
  expect(run(trace)).toEqual(outcomes);
});

test('conversations find what they have read before, sooner than by turns', () => {
  const trace = conversations(1, 400);
  const [own, byTurns] = [summarize(run(trace)), summarize(run(trace, { router: baseline('round robin') }))];
  expect(own.cachedShare).toBeGreaterThan(byTurns.cachedShare + 0.1);
  expect(own.ttftMs.p50).toBeLessThan(byTurns.ttftMs.p50);
  expect(own.ttftMs.p95).toBeLessThan(byTurns.ttftMs.p95);
});

test('no replica is idle or has it all at a low load, though prompts begin alike', () => {
  for (const share of shares(run(conversations(1, 400), { load: 0.1 }))) {
    expect(share).toBeGreaterThan(0.1);
    expect(share).toBeLessThan(0.5);
  }
});

test("long prompts at one replica send the others elsewhere, however small that one's index is", () => {
  const trace = unique(800, { everyMs: 10, tokens: (nth) => (nth % 4 === 0 ? 8192 : 256) });
  const waits = run(trace, { load: 0.7 });
  const byTurns = run(trace, { load: 0.7, router: baseline('round robin') });
  expect(summarize(waits).ttftMs.p95).toBeLessThan(summarize(byTurns).ttftMs.p95 * 0.8);
});

test('several routers that decide at once do not all choose the same', () => {
  // Sixteen at a time, one for each router, and all know the same.
  const trace = unique(640, { everyMs: 0, tokens: () => 1024 });
  const requests = trace.requests.map((request, nth) => ({ ...request, atMs: Math.floor(nth / 16) * 1000 }));
  const waves = run({ ...trace, requests }, { routers: 16, load: 0.5 });
  for (const share of shares(waves)) expect(share).toBeGreaterThan(0.15);
  const herd = run({ ...trace, requests }, { routers: 16, load: 0.5, router: baseline('least in-flight') });
  expect(summarize(waves).ttftMs.p95).toBeLessThan(summarize(herd).ttftMs.p95);
});

test('the recorded conversations are answered sooner than by any other router', async ({ skip }) => {
  const recorded = await readTrace(traces, 'mooncake');
  if (recorded === undefined) return skip(`${traces} is not there`);
  const trace = { ...recorded, requests: recorded.requests.slice(0, 1500) };
  const rows = [...baselines, skein].map((router) => {
    const outcomes = simulate({ trace, replicas: fleets.even, router, load: 0.6, seed: 1 });
    return { trace: 'mooncake', load: 0.6, router: router.name, ...summarize(outcomes) };
  });
  expect(losses(rows).filter((loss) => !loss.includes('cached'))).toEqual([]);
});
