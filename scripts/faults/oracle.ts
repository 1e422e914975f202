import { choiceSeed } from '../../packages/coordinator/src/http/openai/request.ts';
import type { Client } from './client.ts';
import type { Doubt, Ledger } from './ledger.ts';

/**
 * Places behind which answers that a replay does not give are asked for once more, and the share of these where a fresh
 * request has to give the very next token. Where other answers were given up, later ones lie in the cache in another order,
 * their logits differ in the last bits, and now and then a draw falls to the other side (decision 6): the texts differ from
 * then on, but a fresh request behind any of the tokens goes on alike. A piece that came twice, or never, would make nearly
 * all draws behind it differ, which depend on their places.
 */
const probes = 16;
const leastAlike = 0.75;

/** The work of an oracle. */
export interface Consultation {
  /** Number of answers that were compared with fresh requests. */
  readonly replays: number;
  /** Number of these that turned at a token, since logits differ in their last bits. */
  readonly turned: number;
}

/**
 * Has answers that went on elsewhere, and those that are not as they were without faults, checked by fresh requests behind
 * the tokens that were delivered. The latter come first; when the time is over, the others are left out.
 */
export async function consultOracle(
  client: Pick<Client, 'replay'>,
  ledger: Pick<Ledger, 'doubts' | 'wrong'>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Consultation> {
  const deadlineMs = performance.now() + timeoutMs;
  let [replays, turned] = [0, 0];
  for (const doubt of ledger.doubts) {
    signal.throwIfAborted();
    const { wrong, request } = doubt;
    if (wrong === undefined && performance.now() > deadlineMs) break;
    // Nothing but the lead knows the state of Mirostat; a piece that came twice or never shows without.
    const isKnown = request.settings.mirostat === undefined;
    if (!isKnown && (wrong === undefined || wrong.duplicated + wrong.missing === 0)) continue;
    if (isKnown) {
      replays += 1;
      const likeness = await compare(client, doubt);
      if (likeness === 'turned') turned += 1;
      if (likeness !== 'other') continue;
    }
    const facts = wrong ?? { kind: request.kind, model: request.model, way: 'replay', afterFault: 0 };
    const what = wrong?.what ?? `a fresh request does not go on alike behind ${doubt.delivered.length} tokens`;
    ledger.wrong({ duplicated: 0, missing: 0, ...facts, what });
  }
  return { replays, turned };
}

async function compare(
  client: Pick<Client, 'replay'>,
  { request, choice, delivered, followed, isWhole }: Doubt,
): Promise<'same' | 'turned' | 'other'> {
  const seed = request.settings.seed ?? 0;
  const asked = { ...request, settings: { ...request.settings, seed: choice === 0 ? seed : choiceSeed(seed, choice) } };
  const replayed = await client.replay(asked, delivered);
  const isAlike = followed.every((token, index) => token === replayed[index]);
  if (isAlike && (!isWhole || replayed.length === followed.length)) return 'same';
  if (isAlike) return 'other';
  const places = Array.from({ length: probes }, (_, probe) => Math.floor((probe * followed.length) / probes));
  let alike = 0;
  for (const place of new Set(places)) {
    const [next] = await client.replay(asked, [...delivered, ...followed.slice(0, place)], { most: 1 });
    if (next === followed[place]) alike += 1;
  }
  return alike >= leastAlike * new Set(places).size ? 'turned' : 'other';
}
