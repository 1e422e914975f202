import type { TracedRequest } from '../traces/request.ts';
import type { Router, RouterEnvironment, RouterKind } from './router.ts';

/** Requests in flight at each replica, as one router counts its own. */
class InFlight {
  readonly counts: number[];

  constructor(replicas: number) {
    this.counts = Array.from({ length: replicas }, () => 0);
  }

  add(replica: number, count: 1 | -1): void {
    this.counts[replica] = this.of(replica) + count;
  }

  of(replica: number): number {
    return this.counts[replica] ?? 0;
  }
}

/** Returns the place of the least value, the first one of several. */
function least(values: readonly number[]): number {
  return values.indexOf(Math.min(...values));
}

function heldBlocks(held: ReadonlySet<number>, blocks: readonly number[]): number {
  const missing = blocks.findIndex((block) => !held.has(block));
  return missing === -1 ? blocks.length : missing;
}

function setsOf(replicas: number): Set<number>[] {
  return Array.from({ length: replicas }, () => new Set<number>());
}

/** Keeps blocks up to date with what replicas tell (KV events). */
function follow(sets: readonly Set<number>[], replica: number, added: readonly number[], removed: readonly number[]) {
  for (const block of removed) sets[replica]?.delete(block);
  for (const block of added) sets[replica]?.add(block);
}

function roundRobin({ replicas }: RouterEnvironment): Router {
  let next = -1;
  return { choose: () => (next = (next + 1) % replicas.length) };
}

function random({ replicas, random }: RouterEnvironment): Router {
  return { choose: () => Math.floor(random() * replicas.length) };
}

function leastInFlight({ replicas }: RouterEnvironment): Router {
  const inFlight = new InFlight(replicas.length);
  return {
    choose() {
      const chosen = least(inFlight.counts);
      inFlight.add(chosen, 1);
      return chosen;
    },
    onEnd: (_, replica) => inFlight.add(replica, -1),
  };
}

/** Blocks that SGLang's gateway keeps for a worker: its tree has 2^24 characters, about as many as these. */
const sglangTreeBlocks = 8192;

/**
 * SGLang's gateway, `cache_aware` with its defaults: the shortest queue when `max - min > 64` and `max > 1.5 min`; else
 * the longest match where it is more than 0.3 of the prompt; else the smallest tree. The tree is of what was sent.
 */
function sglang({ replicas }: RouterEnvironment): Router {
  const inFlight = new InFlight(replicas.length);
  const trees = setsOf(replicas.length);
  const choose = ({ blocks }: TracedRequest): number => {
    const [max, min] = [Math.max(...inFlight.counts), Math.min(...inFlight.counts)];
    if (max - min > 64 && max > 1.5 * min) return least(inFlight.counts);
    const matches = trees.map((tree) => heldBlocks(tree, blocks));
    const best = Math.max(...matches);
    if (best > 0.3 * blocks.length) return matches.indexOf(best);
    return least(trees.map(({ size }) => size));
  };
  return {
    choose(request) {
      const chosen = choose(request);
      inFlight.add(chosen, 1);
      const tree = trees[chosen];
      for (const block of request.blocks) {
        tree?.delete(block);
        tree?.add(block);
      }
      for (const block of tree ?? []) {
        if ((tree?.size ?? 0) <= sglangTreeBlocks) break;
        tree?.delete(block);
      }
      return chosen;
    },
    onEnd: (_, replica) => inFlight.add(replica, -1),
  };
}

/** LMetric: new prompt tokens times (load + 1); ties by load, then new work, then place. */
function lmetric({ replicas, blockTokens }: RouterEnvironment): Router {
  const inFlight = new InFlight(replicas.length);
  const held = setsOf(replicas.length);
  return {
    choose({ tokens, blocks }) {
      const costs = replicas.map((_, replica) => {
        const cached = heldBlocks(held[replica] ?? new Set(), blocks) * blockTokens;
        const newTokens = Math.max(0, tokens - cached);
        return { replica, newTokens, load: inFlight.of(replica), cost: newTokens * (inFlight.of(replica) + 1) };
      });
      costs.sort((one, other) => one.cost - other.cost || one.load - other.load || one.newTokens - other.newTokens);
      const chosen = costs[0]?.replica ?? 0;
      inFlight.add(chosen, 1);
      return chosen;
    },
    onEnd: (_, replica) => inFlight.add(replica, -1),
    onBlocks: (replica, added, removed) => follow(held, replica, added, removed),
  };
}

/**
 * Dynamo's linear cost with its defaults: blocks to read at the replica with this prompt, less those that overlap, plus
 * blocks that decode there, plus this prompt's. The replica with the least cost, at random among equals.
 */
function dynamo({ replicas, blockTokens, random }: RouterEnvironment): Router {
  const held = setsOf(replicas.length);
  const prefill = replicas.map(() => 0);
  const decode = replicas.map(() => 0);
  /** New blocks of each request that is being read. */
  const reading = new Map<TracedRequest, number>();
  return {
    choose(request) {
      const blocks = request.tokens / blockTokens;
      const overlaps = replicas.map((_, replica) => heldBlocks(held[replica] ?? new Set(), request.blocks));
      const costs = overlaps.map((overlap, replica) => {
        return Math.max(0, (prefill[replica] ?? 0) + blocks - overlap) + (decode[replica] ?? 0) + blocks;
      });
      const best = Math.min(...costs);
      const equal = costs.flatMap((cost, replica) => (cost === best ? [replica] : []));
      const chosen = equal[Math.floor(random() * equal.length)] ?? 0;
      const newBlocks = Math.max(0, blocks - (overlaps[chosen] ?? 0));
      reading.set(request, newBlocks);
      prefill[chosen] = (prefill[chosen] ?? 0) + newBlocks;
      decode[chosen] = (decode[chosen] ?? 0) + blocks;
      return chosen;
    },
    onFirstToken(request, replica) {
      prefill[replica] = (prefill[replica] ?? 0) - (reading.get(request) ?? 0);
      reading.delete(request);
    },
    onEnd({ tokens }, replica) {
      decode[replica] = (decode[replica] ?? 0) - tokens / blockTokens;
    },
    onBlocks: (replica, added, removed) => follow(held, replica, added, removed),
  };
}

const prebleWindowMs = 180_000;

/**
 * Preble (E2): exploits where more of the prompt is matched than not, at the holder with the least cost, else explores.
 * The cost is the work of the last three minutes: missed tokens of what was sent, and active requests times the median
 * answer. A holder whose load is more than 1.5 times the least one's passes its requests on to that.
 */
function preble({ replicas, blockTokens, nowMs }: RouterEnvironment): Router {
  const inFlight = new InFlight(replicas.length);
  const held = setsOf(replicas.length);
  const sent: { atMs: number; replica: number; missedMs: number }[] = [];
  const missedMs = replicas.map(() => 0);
  const outputs: number[] = [];
  const loadOf = (replica: number): number => {
    const { stepMs = 0, sequences = 1 } = replicas[replica] ?? {};
    const median = outputs.toSorted((one, other) => one - other)[outputs.length >> 1] ?? 0;
    return (missedMs[replica] ?? 0) + (inFlight.of(replica) * median * stepMs) / sequences;
  };
  const choose = (newTokens: readonly number[], tokens: number): number => {
    const loads = replicas.map((_, replica) => loadOf(replica));
    const lightest = least(loads);
    const best = Math.min(...newTokens);
    if (tokens - best > best) {
      const holder = least(loads.map((load, replica) => (newTokens[replica] === best ? load : Infinity)));
      return (loads[holder] ?? 0) > 1.5 * (loads[lightest] ?? 0) && (loads[lightest] ?? 0) > 0 ? lightest : holder;
    }
    return least(loads.map((load, replica) => load + (newTokens[replica] ?? 0) * (replicas[replica]?.msPerToken ?? 0)));
  };
  return {
    choose({ tokens, blocks }) {
      for (let oldest = sent[0]; oldest !== undefined && oldest.atMs < nowMs() - prebleWindowMs; oldest = sent[0]) {
        missedMs[oldest.replica] = (missedMs[oldest.replica] ?? 0) - oldest.missedMs;
        sent.shift();
      }
      const newTokens = held.map((set) => Math.max(0, tokens - heldBlocks(set, blocks) * blockTokens));
      const chosen = choose(newTokens, tokens);
      const missed = (newTokens[chosen] ?? 0) * (replicas[chosen]?.msPerToken ?? 0);
      sent.push({ atMs: nowMs(), replica: chosen, missedMs: missed });
      missedMs[chosen] = (missedMs[chosen] ?? 0) + missed;
      inFlight.add(chosen, 1);
      for (const block of blocks) held[chosen]?.add(block);
      return chosen;
    },
    onEnd({ outputTokens }, replica) {
      inFlight.add(replica, -1);
      outputs.push(outputTokens);
      if (outputs.length > 101) outputs.shift();
    },
    onBlocks: (replica, added, removed) => follow(held, replica, added, removed),
  };
}

/** Routers of others, with their published formulas. */
export const baselines: readonly RouterKind[] = [
  { name: 'round robin', create: roundRobin },
  { name: 'random', create: random },
  { name: 'least in-flight', create: leastInFlight },
  { name: 'SGLang cache-aware', create: sglang },
  { name: 'Preble', create: preble },
  { name: 'Dynamo linear', create: dynamo },
  { name: 'LMetric', create: lmetric },
];
