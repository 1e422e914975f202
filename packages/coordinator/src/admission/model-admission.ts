import { formatDuration, onAbort, SkeinError, type AdmissionStatus } from '@skein/protocol';

import type { Schedule } from '../timers.ts';
import {
  ModelQueue,
  type AdmissionRequest,
  type ModelQueueOptions,
  type Outlook,
  type Refusal,
  type Ticket,
} from './model-queue.ts';

export interface ModelAdmissionComponents {
  readonly replicas: {
    /** Returns, for each ready replica of a model, the sequences that it generates at once. */
    sequencesOf(model: string): readonly number[];
    /** Resolves when a replica of a model serves; has the model deployed where none is coming. */
    prepare(model: string): Promise<void>;
  };
  readonly schedule: Schedule;
  /** Returns milliseconds of a monotonic clock. */
  readonly nowMs: () => number;
}

/** A request's permit to use a model's replicas, once it is admitted. Dispose it when the request is over. */
export interface Permit extends Disposable {
  /**
   * Resolves when it is the request's turn. Rejects with the reason of its signal, with the reason why the model can't be
   * deployed, and with `overloaded` after a wait of five minutes.
   */
  readonly admitted: Promise<void>;
  /** The prospects of the request as they are now. */
  readonly outlook: Outlook;
  /** Counts tokens of a prompt that had to be read. */
  onPromptRead(tokens: number): void;
  /** Counts generated tokens. With the first of them the prompt was read, and another one's turn has come. */
  onTokens(tokens: number): void;
  /** Gives the place to others until the request's reader keeps up again. */
  stall(untilReady: Promise<void>): void;
}

/** Longest time for which a request waits while replicas are ready, in milliseconds: clients give up about then. */
const longestWaitMs = 300_000;
/** Sequences of a replica that is known to serve, until a card tells. */
const unknownSequences = 1;

/** The admission to one model's replicas. Requests whose model is not served wait for that in the same queue. */
export class ModelAdmission {
  readonly #components: ModelAdmissionComponents & { readonly onIdle: () => void };
  readonly #model: string;
  readonly #queue: ModelQueue;
  /** The ends of the waits, by ticket. */
  readonly #waits = new Map<Ticket, PromiseWithResolvers<void>>();
  #isPreparing = false;
  #refused = 0;

  /** @param components.onIdle called when nobody asks for the model any more, and nothing serves it */
  constructor(
    components: ModelAdmissionComponents & { readonly onIdle: () => void },
    { model, ...options }: ModelQueueOptions & { readonly model: string },
  ) {
    this.#components = components;
    this.#model = model;
    this.#queue = new ModelQueue(options);
  }

  /**
   * Queues a request.
   *
   * @throws SkeinError `overloaded` as {@link Admission.enter} does
   */
  enter(request: AdmissionRequest, signal: AbortSignal): Permit {
    const { nowMs } = this.#components;
    signal.throwIfAborted();
    this.#countReplicas();
    const ticket = this.#queue.enter(request, nowMs());
    if ('reason' in ticket) {
      this.#refused += 1;
      throw explain(ticket);
    }
    const wait = Promise.withResolvers<void>();
    // Its reader may be gone for another reason.
    wait.promise.catch(() => undefined);
    this.#waits.set(ticket, wait);
    this.#advance();
    const queue = this.#queue;
    const taken: { promptTokens?: number; generatedTokens: number } = { generatedTokens: 0 };
    const stack = new DisposableStack();
    stack.defer(() => this.#leave(ticket, { promptTokens: request.promptTokens, ...taken }));
    stack.use(onAbort(signal, () => this.#giveUp(ticket, signal.reason)));
    if (this.#waits.has(ticket)) stack.use(this.#watch(ticket));
    return {
      admitted: wait.promise,
      get outlook() {
        return queue.outlookOf(ticket, nowMs());
      },
      onPromptRead: (tokens) => (taken.promptTokens = (taken.promptTokens ?? 0) + tokens),
      onTokens: (tokens) => {
        if (taken.generatedTokens === 0) {
          queue.setRead(ticket, nowMs());
          this.#advance();
        }
        taken.generatedTokens += tokens;
      },
      stall: (untilReady) => {
        queue.setStalled(ticket, true);
        this.#advance();
        void untilReady.then(() => queue.setStalled(ticket, false));
      },
      [Symbol.dispose]: () => stack.dispose(),
    };
  }

  /** Admits those who wait for replicas that have become ready. */
  refresh(): void {
    if (this.#queue.waiting > 0) this.#advance();
  }

  /** Returns the figures of the queue. */
  status(): Omit<AdmissionStatus, 'model'> {
    const { admitted, waiting, bound } = this.#queue;
    return { admitted, waiting, bound, refused: this.#refused };
  }

  #countReplicas(): void {
    this.#queue.setReplicas(this.#components.replicas.sequencesOf(this.#model));
  }

  /** Admits those whose turn it is. Has the model deployed where nothing serves it. */
  #advance(): void {
    this.#countReplicas();
    this.#admit();
    if (this.#queue.waiting > 0 && !this.#queue.hasPlaces && !this.#isPreparing) void this.#prepare();
  }

  #admit(): void {
    for (const ticket of this.#queue.admit(this.#components.nowMs())) {
      this.#waits.get(ticket)?.resolve();
      this.#waits.delete(ticket);
    }
  }

  async #prepare(): Promise<void> {
    const { replicas } = this.#components;
    this.#isPreparing = true;
    try {
      await replicas.prepare(this.#model);
      this.#countReplicas();
      if (!this.#queue.hasPlaces) this.#queue.setReplicas([unknownSequences]);
      this.#admit();
    } catch (error) {
      for (const ticket of this.#waits.keys()) this.#giveUp(ticket, error);
    } finally {
      this.#isPreparing = false;
    }
  }

  /** Ends a request's wait with an error. Does nothing when it does not wait. */
  #giveUp(ticket: Ticket, error: unknown): void {
    const wait = this.#waits.get(ticket);
    if (wait === undefined) return;
    this.#waits.delete(ticket);
    this.#queue.leave(ticket, { promptTokens: 0, generatedTokens: 0 }, this.#components.nowMs());
    wait.reject(error);
  }

  #leave(ticket: Ticket, taken: { readonly promptTokens: number; readonly generatedTokens: number }): void {
    this.#giveUp(ticket, new SkeinError('aborted', 'the request is over'));
    this.#queue.leave(ticket, taken, this.#components.nowMs());
    this.#advance();
    const { waiting, admitted, hasPlaces } = this.#queue;
    // Measurements of a model that is not served would not hold later.
    if (waiting === 0 && admitted === 0 && !hasPlaces) this.#components.onIdle();
  }

  /** Ends a wait that lasts too long. That for a deployment has deadlines of its own. */
  #watch(ticket: Ticket): Disposable {
    const { schedule, nowMs } = this.#components;
    let timer: Disposable;
    const look = (): void => {
      if (this.#isPreparing) timer = schedule(longestWaitMs, look);
      else this.#giveUp(ticket, waitedInVain(this.#queue.nextRetryAfterMs(nowMs())));
    };
    timer = schedule(longestWaitMs, look);
    return { [Symbol.dispose]: () => timer[Symbol.dispose]() };
  }
}

/** Makes the error of a request that waited for too long. */
function waitedInVain(retryAfterMs: number): SkeinError {
  const message = `no machine was free for ${formatDuration(longestWaitMs)}; try again in ${formatDuration(retryAfterMs)}, or add a machine`;
  return new SkeinError('overloaded', message, { details: { retryAfterSeconds: retryAfterMs / 1000 } });
}

/** Makes the error of a refused request. */
function explain({ reason, waiting, expectedWaitMs = 0, retryAfterMs }: Refusal): SkeinError {
  const later = `try again in ${formatDuration(retryAfterMs)}`;
  const wait = formatDuration(expectedWaitMs);
  const messages = {
    full: `${waiting} requests wait for this model already; ${later}, or add a machine`,
    share: `so many of your requests wait for this model that others would find no place; ${later}`,
    wait: `this request would wait for about ${wait}; ${later}, or add a machine`,
    deadline: `this request would wait for about ${wait}, longer than its deadline allows; ${later}, or allow more time`,
  };
  return new SkeinError('overloaded', messages[reason], { details: { retryAfterSeconds: retryAfterMs / 1000 } });
}
