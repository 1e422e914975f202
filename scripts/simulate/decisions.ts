import type { PackedPrompt } from '@skein/protocol';
import { Replicas } from '@skein/serving';

import { fleets } from './fleet/fleets.ts';
import { seeded } from './random.ts';
import { cardOf, idle, model, routeOf } from './routers/skein.ts';

/** Bytes of a block of 128 token ids. */
const blockBytes = 512;
const blocks = 32;
const decisions = 4000;
/** Decisions before the compiler has optimized them. */
const warmUp = 1000;

/**
 * Measures decisions among 1,000 replicas while their cards change: all of them hold the system prompt, and one the
 * conversation. Counting the request, and hashing its prompt, are not part of a decision.
 */
export function measureDecisions(seed: number) {
  const specs = fleets.many;
  const cards = specs.map((spec, place) => cardOf(place, spec, idle));
  const listeners: (() => void)[] = [];
  const system = [1, 2, 3, 4];
  let digests: readonly number[] = system;
  const replicas = new Replicas({
    cards: {
      snapshot: () => cards,
      onChange(listener) {
        listeners.push(listener);
        return () => undefined;
      },
    },
    digests: { blockBytes, of: () => digests, ofAnswer: () => [] },
    random: seeded(seed),
  });
  for (const place of specs.keys()) {
    replicas.changePrefixes(routeOf(place), { isAnew: true, added: system, removed: [] });
  }
  const prompt: PackedPrompt = { type: 'tokens', bytes: new Uint8Array(blocks * blockBytes) };
  const times: number[] = [];
  for (let nth = 0; nth < decisions; nth += 1) {
    const conversation = Array.from({ length: blocks - system.length }, (_, index) => 100 + nth * blocks + index);
    const place = nth % specs.length;
    replicas.changePrefixes(routeOf(place), { isAnew: false, added: conversation.slice(0, 24), removed: [] });
    digests = [...system, ...conversation];
    const spec = specs[place];
    // Every tenth: changes within 50 ms are gathered into one card.
    if (nth % 10 === 0 && spec !== undefined) {
      cards[place] = cardOf(place, spec, { ...idle, active: 1 + (nth % 3) });
      for (const listener of listeners) listener();
    }
    const startedAt = performance.now();
    const chosen = replicas.choose({ model, prompt });
    times.push(performance.now() - startedAt);
    if (chosen !== undefined) replicas.take(chosen)[Symbol.dispose]();
  }
  times.splice(0, warmUp);
  times.sort((one, other) => one - other);
  const at = (share: number): number => 1000 * (times[Math.floor(share * times.length)] ?? 0);
  return { replicas: specs.length, p50Us: at(0.5), p99Us: at(0.99) };
}
