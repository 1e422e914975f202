import { choiceSeed } from '../../packages/coordinator/src/http/openai/request.ts';
import type { Client } from './client.ts';
import type { Doubt, Ledger } from './ledger.ts';

/** The work of an oracle. */
export interface Consultation {
  /** Number of answers that were compared with fresh requests. */
  readonly replays: number;
}

/**
 * Has answers that went on elsewhere, and those that are not as they were without faults, checked by fresh requests behind
 * the tokens that were delivered: they have to bring the rest, token for token. The latter come first; when the time is
 * over, the others are left out.
 */
export async function consultOracle(
  client: Pick<Client, 'replay'>,
  ledger: Pick<Ledger, 'doubts' | 'wrong'>,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<Consultation> {
  const deadlineMs = performance.now() + timeoutMs;
  let replays = 0;
  for (const doubt of ledger.doubts) {
    signal.throwIfAborted();
    const { wrong, request } = doubt;
    if (wrong === undefined && performance.now() > deadlineMs) break;
    // Nothing but the lead knows the state of Mirostat. Such an answer has to be as it was without faults.
    const isKnown = request.settings.mirostat === undefined;
    if (!isKnown && wrong === undefined) continue;
    if (isKnown) {
      replays += 1;
      if (await goesOnAlike(client, doubt)) continue;
    }
    const facts = wrong ?? { kind: request.kind, model: request.model, way: 'replay', afterFault: 0 };
    const what = wrong?.what ?? `a fresh request does not go on alike behind ${doubt.delivered.length} tokens`;
    ledger.wrong({ duplicated: 0, missing: 0, ...facts, what });
  }
  return { replays };
}

async function goesOnAlike(
  client: Pick<Client, 'replay'>,
  { request, choice, delivered, followed, isWhole }: Doubt,
): Promise<boolean> {
  const seed = request.settings.seed ?? 0;
  const asked = { ...request, settings: { ...request.settings, seed: choice === 0 ? seed : choiceSeed(seed, choice) } };
  const replayed = await client.replay(asked, delivered);
  const isAlike = followed.every((token, index) => token === replayed[index]);
  return isAlike && (!isWhole || replayed.length === followed.length);
}
