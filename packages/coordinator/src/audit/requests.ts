import { setTimeout as delay } from 'node:timers/promises';

import { asSkeinError, type FinishReason, type Labels, type Usage } from '@skein/protocol';

import { maxRequestPeers, type RequestEvent } from './events.ts';
import type { AuditPort } from './port.ts';

export interface RequestsComponents {
  readonly audit: AuditPort;
  /** Returns milliseconds since 1970. */
  readonly now: () => number;
}

/** Facts about a request before it is read. */
export type RequestOrigin = Pick<RequestEvent, 'id' | 'client' | 'address' | 'endpoint'>;

/** Facts about a request once it was read. */
export type RequestSummary = Pick<RequestEvent, 'model' | 'sha256' | 'choices' | 'promptSize' | 'labels'>;

/** A replica to which a request is sent. */
export interface AskedReplica {
  readonly deployment: string;
  /** Peers of all its stages, the lead's first. */
  readonly peers: readonly string[];
  /** The same machines with their labels, where the request asks for some. */
  readonly machines?: readonly AnsweringMachine[] | undefined;
  /** Whether it only reads prompt and answer along, in case the answer has to go on there. Default: false. */
  readonly readsAlong?: boolean | undefined;
}

/** A machine that computes an answer or reads it along, with the labels of its certificate. */
export interface AnsweringMachine {
  readonly peer: string;
  readonly name: string;
  readonly labels: Labels;
}

/** An observer of an answer's progress. */
export interface AnswerObserver {
  /** Called for each piece of text. */
  onTokens(choice: number, count: number): void;
  onEnd(choice: number, end: { readonly finishReason: FinishReason; readonly usage: Usage }): void;
}

/** The record of one request: it collects facts about it, and logs them once, at its end. */
export class RequestRecord implements AnswerObserver {
  readonly #origin: RequestOrigin;
  readonly #over: (event: Omit<RequestEvent, 'durationMs'>) => void;
  readonly #peers = new Set<string>();
  readonly #readAlong = new Set<string>();
  readonly #finishReasons: FinishReason[] = [];
  #summary: RequestSummary = {};
  #deployment: string | undefined;
  #promptTokens: number | undefined;
  /** Tokens by choice. */
  readonly #completionTokens = new Map<number, number>();
  #isOver = false;

  constructor(origin: RequestOrigin, over: (event: Omit<RequestEvent, 'durationMs'>) => void) {
    this.#origin = origin;
    this.#over = over;
  }

  onRead(summary: RequestSummary): void {
    this.#summary = summary;
  }

  onAsk({ deployment, peers, readsAlong = false }: AskedReplica): void {
    if (!readsAlong) this.#deployment = deployment;
    const seen = readsAlong ? this.#readAlong : this.#peers;
    for (const peer of peers) if (seen.size < maxRequestPeers) seen.add(peer);
  }

  onTokens(choice: number, count: number): void {
    this.#completionTokens.set(choice, (this.#completionTokens.get(choice) ?? 0) + count);
  }

  onEnd(choice: number, { finishReason, usage }: { readonly finishReason: FinishReason; readonly usage: Usage }): void {
    this.#finishReasons[choice] = finishReason;
    this.#completionTokens.set(choice, usage.completionTokens);
    this.#promptTokens = usage.promptTokens;
  }

  /** Follows an answer: records the request when the answer is over, and passes the answer on. */
  async follow<Value>(answer: Promise<Value>): Promise<Value> {
    try {
      const value = await answer;
      this.#end('answered');
      return value;
    } catch (error) {
      this.onFailure(error);
      throw error;
    }
  }

  /** Records a failure. Does nothing when the request is over. */
  onFailure(thrown: unknown): void {
    const { code } = asSkeinError(thrown);
    if (code === 'aborted') return this.#end('cancelled', code);
    return this.#end(this.#peers.size === 0 ? 'refused' : 'failed', code);
  }

  #end(outcome: RequestEvent['outcome'], error?: string): void {
    if (this.#isOver) return;
    this.#isOver = true;
    const finishReasons = this.#finishReasons.filter((reason) => reason !== undefined);
    const readAlong = this.#readAlong.difference(this.#peers);
    this.#over({
      type: 'request',
      ...this.#origin,
      outcome,
      ...this.#summary,
      ...(this.#deployment !== undefined && { deployment: this.#deployment }),
      peers: [...this.#peers],
      ...(readAlong.size > 0 && { readAlong: [...readAlong] }),
      ...(this.#promptTokens !== undefined && { promptTokens: this.#promptTokens }),
      ...(this.#peers.size > 0 && {
        completionTokens: this.#completionTokens.values().reduce((sum, one) => sum + one, 0),
      }),
      ...(finishReasons.length > 0 && { finishReasons }),
      ...(error !== undefined && { error }),
    });
  }
}

/** The records of requests: one entry each, when it is over. */
export class Requests {
  readonly #components: RequestsComponents;
  readonly #open = new Map<RequestRecord, PromiseWithResolvers<void>>();

  constructor(components: RequestsComponents) {
    this.#components = components;
  }

  /**
   * Begins the record of a request.
   *
   * @throws SkeinError `disk-failed` while nothing can be recorded: the request must not be answered then
   */
  async begin(origin: RequestOrigin): Promise<RequestRecord> {
    const { audit, now } = this.#components;
    const startedAt = now();
    await audit.assertWritable();
    const over = Promise.withResolvers<void>();
    const record: RequestRecord = new RequestRecord(origin, (event) => {
      void audit.append({ ...event, durationMs: Math.max(0, now() - startedAt) });
      this.#open.delete(record);
      over.resolve();
    });
    this.#open.set(record, over);
    return record;
  }

  /** Waits until all begun requests are recorded, at most for `timeoutMs`. */
  async settle({ timeoutMs }: { readonly timeoutMs: number }): Promise<void> {
    const all = Promise.all([...this.#open.values()].map(async ({ promise }) => await promise));
    await Promise.race([all, delay(timeoutMs, undefined, { ref: false })]);
  }
}
