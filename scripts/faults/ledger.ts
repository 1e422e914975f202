import { isErrorCode, retryOf } from '@skein/protocol';

import { summarize, type Summary } from '../detection/summary.ts';
import type { Answer } from './client-messages.ts';
import type { Fault } from './fault.ts';
import { judge, type Verdict } from './judge.ts';
import type { FaultRecord, WrongAnswer } from './report.ts';
import type { RunRequest } from './requests.ts';
import type { StreamAnswer } from './streams.ts';

/** A question to the oracle: what follows behind tokens of an answer, and what was delivered. */
export interface Doubt {
  readonly request: RunRequest;
  readonly choice: number;
  readonly delivered: readonly number[];
  readonly followed: readonly number[];
  /** Whether nothing follows behind these. */
  readonly isWhole: boolean;
  /** The deviation from the fault-free answer that it is to explain. Undefined for an answer that is as expected. */
  readonly wrong?: WrongAnswer;
}

interface OpenRecord {
  readonly fault: Fault;
  readonly victim: string;
  readonly struckAt: number;
  readonly ended: Record<string, number>;
  readonly nextAnswerMs: Record<string, number>;
  failure?: string;
}

/** A record of the answers, fault by fault. */
export class Ledger {
  readonly #expected: ReadonlyMap<number, Answer>;
  readonly #records: OpenRecord[] = [];
  readonly #doubts: Doubt[] = [];
  readonly #pauses: { readonly cause: string; readonly ms: number }[] = [];
  readonly #counts = { requests: 0, completed: 0, capacityErrors: 0, refused: 0, disconnected: 0, lost: 0, same: 0 };
  readonly #lostByError: Record<string, number> = {};
  readonly #wrong: WrongAnswer[] = [];

  /** @param expected the fault-free answers, by request */
  constructor(expected: ReadonlyMap<number, Answer>) {
    this.#expected = expected;
  }

  /** Notes that a fault happens now. */
  begin(fault: Fault, victim: string): OpenRecord {
    const record = { fault, victim, struckAt: Date.now(), ended: {}, nextAnswerMs: {} };
    this.#records.push(record);
    return record;
  }

  take({ request, way, answer }: StreamAnswer): void {
    const ended = classify(answer);
    this.#counts[ended] += 1;
    if (ended !== 'refused') this.#counts.requests += 1;
    this.#check(request, way, answer);
    if (ended === 'completed') return;
    const name = `${ended}: ${answer.error?.code ?? answer.end}`;
    if (ended === 'lost') {
      const error = `${answer.error?.code ?? answer.end} (${answer.error?.message ?? 'no word'})`;
      this.#lostByError[error] = (this.#lostByError[error] ?? 0) + 1;
    }
    const last = this.#records.at(-1)?.ended;
    if (last !== undefined) last[name] = (last[name] ?? 0) + 1;
  }

  /** Compares an answer, or as much as came of it, with the fault-free one. */
  #check(request: RunRequest, way: string, answer: Answer): void {
    const expected = this.#expected.get(request.id);
    if (expected === undefined) throw new Error(`nobody knows the answer to request ${request.id}`);
    const isComplete = answer.end === 'complete';
    const delivered = answer.choices.reduce((sum, { tokens }) => sum + tokens.length, 0);
    const facts = { kind: request.kind, model: request.model, way, afterFault: this.#records.length };
    // A token that ends a choice stands for no text, and is not delivered.
    const ends = answer.choices.filter((choice) => choice.finishReason === 'stop').length;
    const counted = answer.usage?.completionTokens ?? Number.NaN;
    if (isComplete && !(counted >= delivered && counted <= delivered + ends)) {
      const what = `usage counts ${counted} of ${delivered} tokens`;
      this.#wrong.push({ ...facts, what, duplicated: 0, missing: 0 });
    }
    const failovers = answer.usage?.failovers ?? 0;
    const journey = `${failovers} failovers, longest pause behind token ${answer.pause?.tokens.join() ?? 'none'}`;
    let isSame = isComplete;
    for (const [choice, { tokens, text, finishReason }] of answer.choices.entries()) {
      const whole = expected.choices[choice];
      const verdict = judge(tokens, whole?.tokens ?? []);
      const isWhole = verdict.kind === 'same' && text === whole?.text && finishReason === whole?.finishReason;
      isSame &&= isWhole;
      const isFine = isComplete ? isWhole : verdict.kind === 'same' || verdict.kind === 'beginning';
      if (!isFine) this.#doubt(request, { choice, tokens, isComplete, verdict, facts, journey });
      else if (isComplete && answer.usage?.failovers !== undefined) this.#recheck(request, choice, answer);
    }
    if (isSame) this.#counts.same += 1;
    if (answer.usage?.pauseMs !== undefined) {
      this.#pauses.push({ cause: this.#causeOf(answer), ms: answer.usage.pauseMs });
    }
  }

  #doubt(
    request: RunRequest,
    of: {
      readonly choice: number;
      readonly tokens: readonly number[];
      readonly isComplete: boolean;
      readonly verdict: Verdict;
      /** The failovers of the answer, in words. */
      readonly journey: string;
      readonly facts: Pick<WrongAnswer, 'kind' | 'model' | 'way' | 'afterFault'>;
    },
  ): void {
    const { choice, tokens, isComplete, verdict, facts, journey } = of;
    const at = 'at' in verdict ? verdict.at : tokens.length;
    const count = (kind: Verdict['kind']) => (verdict.kind === kind && 'tokens' in verdict ? verdict.tokens : 0);
    const how =
      'at' in verdict ? `${verdict.kind} at token ${at}` : `its tokens are ${verdict.kind}, but not its text or end`;
    const what = `${how}, of ${tokens.length}; ${journey}`;
    const wrong = { ...facts, what, duplicated: count('duplicated'), missing: count('missing') };
    const parts = { delivered: tokens.slice(0, at), followed: tokens.slice(at), isWhole: isComplete };
    this.#doubts.push({ request, choice, ...parts, wrong });
  }

  /** Has an answer that went on elsewhere checked behind the longest pause, where it probably did. */
  #recheck(request: RunRequest, choice: number, { choices, pause }: Answer): void {
    const tokens = choices[choice]?.tokens ?? [];
    const at = pause?.tokens[choice] ?? 0;
    const parts = { delivered: tokens.slice(0, at), followed: tokens.slice(at), isWhole: true };
    this.#doubts.push({ request, choice, ...parts });
  }

  #causeOf({ pause }: Answer): string {
    const cause = this.#records.findLast(({ struckAt }) => struckAt <= (pause?.endedAt ?? Number.POSITIVE_INFINITY));
    return cause === undefined ? 'none' : `${cause.fault.action} ${cause.fault.target}`;
  }

  /** Returns what the oracle has to decide, the deviations first. */
  get doubts(): readonly Doubt[] {
    return this.#doubts.toSorted((one, other) => Number(other.wrong !== undefined) - Number(one.wrong !== undefined));
  }

  /** Notes an answer that nothing explains. */
  wrong(answer: WrongAnswer): void {
    this.#wrong.push(answer);
  }

  recordOf({ fault, victim, ended, nextAnswerMs, failure }: OpenRecord): FaultRecord {
    const { share: _, ...what } = fault;
    return { ...what, victim, ended: { ...ended }, nextAnswerMs, ...(failure !== undefined && { failure }) };
  }

  totals() {
    const { same, ...counts } = this.#counts;
    const faults = this.#records.map((record) => this.recordOf(record));
    const next = faults.flatMap((record) =>
      Object.values(record.nextAnswerMs).map((ms) => ({ cause: `${record.action} ${record.target}`, ms })),
    );
    const sumOf = (field: 'duplicated' | 'missing') => this.#wrong.reduce((sum, wrong) => sum + wrong[field], 0);
    return {
      ...counts,
      faults,
      lostByError: this.#lostByError,
      duplicatedTokens: sumOf('duplicated'),
      missingTokens: sumOf('missing'),
      replayMismatches: this.#wrong.filter((wrong) => wrong.duplicated + wrong.missing === 0).length,
      wrongAnswers: this.#wrong,
      sameAsFaultFree: counts.completed === 0 ? 0 : same / counts.completed,
      pauseMs: this.#pauses.length === 0 ? undefined : summarize(this.#pauses.map(({ ms }) => ms)),
      pauseMsByCause: byCause(this.#pauses),
      nextAnswerMs: byCause(next),
    };
  }
}

/** Names the way in which an answer ended. */
function classify(answer: Answer): 'completed' | 'capacityErrors' | 'refused' | 'disconnected' | 'lost' {
  const { end, error, choices } = answer;
  if (end === 'complete') return 'completed';
  const delivered = choices.map(({ tokens }) => tokens.length);
  const isNothing = delivered.every((count) => count === 0);
  // A coordinator that stops in order says so.
  if (end === 'disconnected' || error?.code === 'not-running') return isNothing ? 'refused' : 'disconnected';
  if (error === undefined) return 'lost';
  const told = /(\d+) tokens? of the answer had been delivered/.exec(error.message)?.[1];
  if (told !== undefined) return delivered.includes(Number(told)) ? 'capacityErrors' : 'lost';
  return isNothing && isErrorCode(error.code) && retryOf(error.code) !== 'never' ? 'refused' : 'lost';
}

function byCause(times: readonly { readonly cause: string; readonly ms: number }[]): Record<string, Summary> {
  const groups = [...Map.groupBy(times, ({ cause }) => cause)].sort(([one], [other]) => one.localeCompare(other));
  return Object.fromEntries(groups.map(([cause, some]) => [cause, summarize(some.map(({ ms }) => ms))]));
}
