import { fleets } from './fleet/fleets.ts';
import { seeded } from './random.ts';
import { skein } from './routers/skein.ts';

const blockTokens = 128;
const decisions = 4000;
/** Decisions before the compiler has optimized them. */
const warmUp = 1000;

/**
 * Measures decisions among 1,000 replicas while their cards change: all of them hold the system prompt, and one the
 * conversation. Each is chosen, counted and begun, as for a request; hashing the prompt is not part of it.
 */
export function measureDecisions(seed: number) {
  const random = seeded(seed);
  const replicas = fleets.many;
  let nowMs = 0;
  const router = skein.create({ replicas, blockTokens, random, nowMs: () => nowMs });
  const system = [1, 2, 3, 4];
  for (let replica = 0; replica < replicas.length; replica += 1) router.onBlocks?.(replica, system, []);
  const times: number[] = [];
  for (let nth = 0; nth < decisions; nth += 1) {
    nowMs += 1;
    const conversation = Array.from({ length: 28 }, (_, index) => 100 + nth * 28 + index);
    router.onBlocks?.(nth % replicas.length, conversation.slice(0, 24), []);
    const blocks = [...system, ...conversation];
    const request = { atMs: nowMs, tokens: blocks.length * blockTokens, outputTokens: 1, blocks };
    const startedAt = performance.now();
    const chosen = router.choose(request);
    times.push(performance.now() - startedAt);
    router.onBegin?.(request, chosen);
    // Every tenth: one card changes for several requests, since changes of 50 ms make one.
    if (nth % 10 === 0) router.onCard?.(chosen, { active: 1, queued: 0, waitingTokens: 0, sequenceMs: 1000 });
    router.onEnd?.(request, chosen);
  }
  times.splice(0, warmUp);
  times.sort((one, other) => one - other);
  const at = (share: number): number => 1000 * (times[Math.floor(share * times.length)] ?? 0);
  return { replicas: replicas.length, p50Us: at(0.5), p99Us: at(0.99) };
}
