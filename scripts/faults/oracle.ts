import { choiceSeed } from '../../packages/coordinator/src/http/openai/request.ts';
import type { Client } from './client.ts';
import type { Doubt, Ledger } from './ledger.ts';

/**
 * Most tokens of an answer that a replay need not give, of so many. Where other answers were given up, later ones lie in
 * the cache in another order, their logits differ in the last bits, and now and then a draw falls to the other side
 * (decision 6). From then on the texts differ, so the replay goes on behind that token. A piece that came twice, or never,
 * would make it differ at one token after the other.
 */
const mostTurns = (tokens: number) => 1 + Math.floor(tokens / 100);

/** The work of an oracle. */
export interface Consultation {
  /** Number of answers that were compared with fresh requests. */
  readonly replays: number;
  /** Number of their tokens at which the texts turned. */
  readonly turns: number;
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
  let [replays, turns] = [0, 0];
  for (const doubt of ledger.doubts) {
    signal.throwIfAborted();
    const { wrong, request } = doubt;
    if (wrong === undefined && performance.now() > deadlineMs) break;
    // Nothing but the lead knows the state of Mirostat; a piece that came twice or never shows without.
    const isKnown = request.settings.mirostat === undefined;
    if (!isKnown && (wrong === undefined || wrong.duplicated + wrong.missing === 0)) continue;
    if (isKnown) {
      replays += 1;
      const turned = await turnsOf(client, doubt);
      turns += turned ?? 0;
      if (turned !== undefined) continue;
    }
    const facts = wrong ?? { kind: request.kind, model: request.model, way: 'replay', afterFault: 0 };
    const what = wrong?.what ?? `a fresh request does not go on alike behind ${doubt.delivered.length} tokens`;
    ledger.wrong({ duplicated: 0, missing: 0, ...facts, what });
  }
  return { replays, turns };
}

/** Returns the number of tokens at which the texts turned; undefined when they are no more alike. */
async function turnsOf(
  client: Pick<Client, 'replay'>,
  { request, choice, delivered, followed, isWhole }: Doubt,
): Promise<number | undefined> {
  const seed = request.settings.seed ?? 0;
  const settings = { ...request.settings, seed: choice === 0 ? seed : choiceSeed(seed, choice) };
  const known = [...delivered];
  let rest = followed;
  for (let turns = 0; turns <= mostTurns(followed.length); turns += 1) {
    const replayed = await client.replay({ ...request, settings }, known);
    const at = rest.findIndex((token, index) => token !== replayed[index]);
    const isSame = at === -1 && (!isWhole || replayed.length === rest.length);
    if (isSame) return turns;
    if (at === -1) return undefined;
    known.push(...rest.slice(0, at + 1));
    rest = rest.slice(at + 1);
  }
  return undefined;
}
