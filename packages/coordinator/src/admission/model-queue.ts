import { PriorityQueue, type Priority } from './priority-queue.ts';
import { RunningAverage } from './running-average.ts';

/** A request for a place at a model's replicas, as far as admission goes. */
export interface AdmissionRequest {
  /** Name of its principal. */
  readonly principal: string;
  readonly priority: Priority;
  /** Sequences that it generates at once: one for each choice. At least 1. */
  readonly sequences: number;
  /** Tokens of its prompt, or an estimate. */
  readonly promptTokens: number;
  /** Most tokens that each choice may have. Default: no limit. */
  readonly maxTokens?: number | undefined;
  /** Longest time until its answer has to be there, in milliseconds. Default: none. */
  readonly deadlineMs?: number | undefined;
}

/** The reason why a request is refused at once, and when it may be made again. */
export interface Refusal {
  /**
   * `full`: as many wait as may. `share`: as many of this principal and priority do, while there is room for others.
   * `wait`: it would wait for longer than anybody should. `deadline`: it would wait past its own deadline.
   */
  readonly reason: 'full' | 'share' | 'wait' | 'deadline';
  /** Requests that wait. */
  readonly waiting: number;
  /** The wait that is too long, in milliseconds. */
  readonly expectedWaitMs?: number;
  /** Time after which the same request may be taken, in milliseconds. */
  readonly retryAfterMs: number;
}

/** A request that waits for its place or has it. Its owner hands it back with {@link ModelQueue.leave}. */
export interface Ticket extends AdmissionRequest {
  /** Tokens that it is expected to cost. */
  readonly tokens: number;
  /** Place among the requests of its principal, the least first: the time until which it lets shorter ones go before it. */
  readonly rank: number;
  /** Time at which it got its place; undefined while it waits. */
  readonly admittedAtMs: number | undefined;
}

/** The prospects of a request that waits. */
export interface Outlook {
  /** Its place in the order of the queue: 1 for the next one, 0 for one that has its place. */
  readonly position: number;
  /** In milliseconds. Left out while nothing is known: no replica is ready, or none has been asked. */
  readonly expectedWaitMs?: number;
}

/** A request's place in the queue: its position, and the sequences and prompt tokens up to it, its own included. */
interface QueuePlace {
  readonly position: number;
  readonly sequences: number;
  readonly promptTokens: number;
}

interface OwnTicket extends Ticket {
  admittedAtMs: number | undefined;
  isStalled: boolean;
  /** Prompt tokens that were being read when it was admitted, its own included. Undefined while none of its prompt is. */
  unreadAtFirst: number | undefined;
}

/** Tokens that a request took. */
export interface TokensTaken {
  readonly promptTokens: number;
  /** Those of all choices together. */
  readonly generatedTokens: number;
}

export interface ModelQueueOptions {
  /**
   * Places beyond the sequences of each replica, so that the next prompt is there when a sequence ends. Default 2.
   */
  readonly aheadPerReplica?: number;
  /**
   * Prompts, for each replica, that are admitted and not read. One is read at a time, the next ones are there in time. Default 3.
   */
  readonly unreadPerReplica?: number;
  /** Tokens of prompts, for each replica, up to which more of them are admitted: short ones are read together. Default 2,048. */
  readonly unreadTokensPerReplica?: number;
  /** Most requests that wait, for each sequence. Default 32. */
  readonly waitingPerSequence?: number;
  /** Longest expected wait, in milliseconds. Default 240,000: clients give up after 300 s. */
  readonly longestWaitMs?: number;
}

const defaults: Required<ModelQueueOptions> = {
  aheadPerReplica: 2,
  unreadPerReplica: 3,
  unreadTokensPerReplica: 2048,
  waitingPerSequence: 32,
  longestWaitMs: 240_000,
};

/**
 * Weight of a generated token, where one of a prompt has 1: prompts are read many tokens at a time. It is that of the
 * virtual token counter's paper.
 */
const generatedWeight = 2;
/**
 * Time for which a prompt lets shorter ones of its principal go before it, in times of its own reading at a replica. By
 * simulation (decision 15): with it half of all wait for less and nobody for much more, which is otherwise with 16.
 */
const patience = 8;
/** Tokens that an answer is taken for before any has ended. */
const unknownAnswerTokens = 256;
/** Sequences that the room for waiting requests is measured by while no replica is ready. */
const sequencesToCome = 4;
/** Most places of the queue that one principal takes with one priority, as a multiple of those that stay free. */
const shareOfFree = 3;
/** Bounds on the time after which a refused request may come again, in milliseconds. */
const [leastRetryMs, mostRetryMs] = [1000, 60_000];

/**
 * The admission to one model's replicas: a bounded queue before as many places as they have sequences, and a few more.
 * It is a state machine that calls nobody and has no clock: its owner reports events with their times, in milliseconds
 * of a monotonic clock, and then asks who is {@link admit | admitted}.
 *
 * - Order: continued answers, then interactive before batch, fair between principals by tokens ({@link PriorityQueue}).
 *   Of one principal's, short prompts go before long ones that came not much earlier: by arrival and a multiple of the
 *   time that reading takes, as in boost scheduling (Yu and Scully, "Strongly Tail-Optimal Scheduling in the Light-Tailed M/G/1", 2024).
 * - Prompts: no more are admitted than keep the replicas reading. The others wait here, where their order is decided, and
 *   each is routed by what caches hold when its turn comes.
 * - Bound: the queue holds so many requests for each sequence, and as many continued ones. One principal gets at most three times as many places of
 *   one priority as stay free, so that a flood of one leaves room for others (the dynamic thresholds of Choudhury and
 *   Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998).
 * - Expected wait: the sequences before a request, its own included, end at the rate at which sequences ended lately.
 * - A refused request learns when to come again. Each is given a time of its own, as far apart as places get free.
 */
export class ModelQueue {
  readonly #options: Required<ModelQueueOptions>;
  readonly #queue = new PriorityQueue<OwnTicket>();
  readonly #admitted = new Set<OwnTicket>();
  readonly #durations = new RunningAverage();
  readonly #answerTokens = new RunningAverage();
  /** Sequences of the ready replicas together, and places, which are more. */
  #sequences = 0;
  #places = 0;
  /** Sequences of admitted requests whose readers keep up. */
  #running = 0;
  /** Sums over admitted requests. */
  #sumOfStarts = 0;
  #replicas = 0;
  /** Admitted requests of whose prompts not all is read, and the tokens of these. */
  #unread = 0;
  #unreadTokens = 0;
  /** Time for which a prompt was read, for each token that was unread when it was admitted, its own included, in milliseconds. */
  readonly #msPerUnreadToken = new RunningAverage();
  readonly #promptTokens = new RunningAverage();
  /** Time that was named last to a refused request. */
  #retryAtMs = 0;
  /** The order of the queue, as it is asked for. Undefined after a change. */
  #order: ReadonlyMap<Ticket, QueuePlace> | undefined;

  constructor(options: ModelQueueOptions = {}) {
    this.#options = { ...defaults, ...options };
  }

  /** Requests that wait. */
  get waiting(): number {
    return this.#queue.size;
  }

  /** Requests that have a place. */
  get admitted(): number {
    return this.#admitted.size;
  }

  /** Whether a replica is ready, as far as it was {@link setReplicas | told}. */
  get hasPlaces(): boolean {
    return this.#places > 0;
  }

  /** Most requests that wait. */
  get bound(): number {
    const sequences = this.#sequences === 0 ? sequencesToCome : this.#sequences;
    return sequences * this.#options.waitingPerSequence;
  }

  /** Learns the sequences that each ready replica generates at once. Admitted requests keep their places. */
  setReplicas(sequences: readonly number[]): void {
    this.#replicas = sequences.length;
    this.#sequences = sequences.reduce((sum, one) => sum + one, 0);
    this.#places = this.#sequences + sequences.length * this.#options.aheadPerReplica;
  }

  /** Queues a request, or refuses it. */
  enter(request: AdmissionRequest, nowMs: number): Ticket | Refusal {
    const answerTokens = Math.min(this.#answerTokens.value ?? unknownAnswerTokens, request.maxTokens ?? Infinity);
    const tokens = costOf({ ...request, generatedTokens: answerTokens * request.sequences });
    const rank = nowMs + this.#patienceMs(request.promptTokens);
    const ticket: OwnTicket = {
      ...request,
      tokens,
      rank,
      admittedAtMs: undefined,
      isStalled: false,
      unreadAtFirst: undefined,
    };
    this.#queue.add(ticket);
    this.#order = undefined;
    const refusal = this.#refusalOf(ticket, nowMs);
    if (refusal === undefined) return ticket;
    this.#queue.remove(ticket);
    this.#order = undefined;
    return refusal;
  }

  /** Gives a place to each request whose turn it is, as long as there are places, and returns those requests. */
  admit(nowMs: number): readonly Ticket[] {
    const admitted: OwnTicket[] = [];
    for (;;) {
      const next = this.#queue.next;
      if (next === undefined || !this.#hasPlaceFor(next)) return admitted;
      this.#queue.take();
      this.#order = undefined;
      next.admittedAtMs = nowMs;
      this.#admitted.add(next);
      this.#running += next.sequences;
      this.#sumOfStarts += nowMs;
      this.#unread += 1;
      this.#unreadTokens += next.promptTokens;
      next.unreadAtFirst = this.#unreadTokens;
      admitted.push(next);
    }
  }

  /** Notes that all of an admitted request's prompt was read: its first token is there. Does nothing when that was noted before. */
  setRead(ticket: Ticket, nowMs: number): void {
    const own = ticket as OwnTicket;
    if (own.unreadAtFirst !== undefined && own.admittedAtMs !== undefined && own.unreadAtFirst > 0) {
      this.#msPerUnreadToken.observe((nowMs - own.admittedAtMs) / own.unreadAtFirst);
      this.#promptTokens.observe(own.promptTokens);
    }
    this.#endReading(own);
  }

  /**
   * Takes a ticket back: its request is over, or gave up waiting. Does nothing when it is back already.
   *
   * @param taken tokens that the request took; of one that waited none
   */
  leave(ticket: Ticket, taken: TokensTaken, nowMs: number): void {
    const own = ticket as OwnTicket;
    this.#order = undefined;
    if (own.admittedAtMs === undefined) return void this.#queue.remove(own);
    if (!this.#admitted.delete(own)) return;
    this.#endReading(own);
    if (!own.isStalled) this.#running -= own.sequences;
    this.#sumOfStarts -= own.admittedAtMs;
    this.#queue.correct(own, costOf(taken) - own.tokens);
    this.#durations.observe(nowMs - own.admittedAtMs);
    this.#answerTokens.observe(taken.generatedTokens / own.sequences);
  }

  /**
   * Notes that an admitted request's reader does not keep up, or does again. Its place goes to others meanwhile: the
   * replica does not wait for the reader.
   */
  setStalled(ticket: Ticket, isStalled: boolean): void {
    const own = ticket as OwnTicket;
    if (!this.#admitted.has(own) || own.isStalled === isStalled) return;
    own.isStalled = isStalled;
    this.#running += isStalled ? -own.sequences : own.sequences;
  }

  /** Returns what a request may expect. */
  outlookOf(ticket: Ticket, nowMs: number): Outlook {
    if (ticket.admittedAtMs !== undefined) return { position: 0, expectedWaitMs: 0 };
    this.#order ??= placesOf(this.#queue.inOrder());
    const { position, sequences, promptTokens } = this.#order.get(ticket) ?? nowhere;
    const intervalMs = this.#intervalMs(nowMs);
    if (intervalMs === undefined) return { position };
    const untilPlaceMs = Math.max(0, this.#running + sequences - this.#places) * intervalMs;
    const tooManyTokens = Math.max(0, this.#unreadTokens + promptTokens - this.#roomForUnread());
    const untilReadMs = tooManyTokens * (this.#msPerUnreadToken.value ?? 0);
    return { position, expectedWaitMs: Math.max(untilPlaceMs, untilReadMs) };
  }

  #hasPlaceFor({ sequences, promptTokens }: OwnTicket): boolean {
    if (this.#places === 0) return false;
    const { unreadPerReplica, unreadTokensPerReplica } = this.#options;
    const isReadSoon =
      this.#unread < unreadPerReplica * this.#replicas ||
      this.#unreadTokens + promptTokens <= unreadTokensPerReplica * this.#replicas;
    // A request for more choices than there are places has all of them.
    return isReadSoon && this.#running + Math.min(sequences, this.#places) <= this.#places;
  }

  /** Returns the tokens of prompts that are unread when no more is admitted, about. */
  #roomForUnread(): number {
    const { unreadPerReplica, unreadTokensPerReplica } = this.#options;
    return this.#replicas * Math.max(unreadTokensPerReplica, unreadPerReplica * (this.#promptTokens.value ?? 0));
  }

  #endReading(own: OwnTicket): void {
    if (own.unreadAtFirst === undefined) return;
    own.unreadAtFirst = undefined;
    this.#unread -= 1;
    this.#unreadTokens -= own.promptTokens;
  }

  /** Returns the time for which a prompt lets shorter ones go before it, in milliseconds; 0 before any was read. */
  #patienceMs(promptTokens: number): number {
    const readMs = promptTokens * (this.#msPerUnreadToken.value ?? 0) * this.#replicas;
    return patience * readMs;
  }

  /** Returns the mean time between the ends of two sequences while all places are taken. */
  #intervalMs(nowMs: number): number | undefined {
    if (this.#places === 0) return undefined;
    const running = this.#admitted.size;
    // Of requests that take longer than those before, the ends do not tell yet.
    const elapsedMs = running === 0 ? 0 : nowMs - this.#sumOfStarts / running;
    const durationMs = Math.max(this.#durations.value ?? 0, elapsedMs);
    const readMs = (this.#promptTokens.value ?? 0) * (this.#msPerUnreadToken.value ?? 0);
    const intervalMs = Math.max(durationMs / this.#places, readMs);
    return intervalMs === 0 ? undefined : intervalMs;
  }

  /** Returns the reason to refuse a request that has just been queued; undefined when it may stay. */
  #refusalOf(ticket: OwnTicket, nowMs: number): Refusal | undefined {
    const waiting = this.#queue.size - 1;
    if (waiting === 0 && this.#hasPlaceFor(ticket)) return undefined;
    const refuse = (reason: Refusal['reason']): Refusal => {
      return { reason, waiting, retryAfterMs: this.nextRetryAfterMs(nowMs) };
    };
    const continued = this.#queue.sizeWith('continued');
    const isContinued = ticket.priority === 'continued';
    const alike = (isContinued ? continued : this.#queue.size - continued) - 1;
    if (alike >= this.bound) return refuse('full');
    if (!isContinued && this.#queue.sizeOf(ticket) > shareOfFree * (this.bound - alike)) return refuse('share');
    const { longestWaitMs } = this.#options;
    const { deadlineMs = Infinity } = ticket;
    const { expectedWaitMs = 0 } = this.outlookOf(ticket, nowMs);
    const tooLongMs = expectedWaitMs - Math.min(longestWaitMs, deadlineMs);
    if (tooLongMs > 0) {
      const reason = deadlineMs < longestWaitMs ? 'deadline' : 'wait';
      return { reason, waiting, expectedWaitMs, retryAfterMs: this.nextRetryAfterMs(nowMs, tooLongMs) };
    }
    return undefined;
  }

  /**
   * Returns the time after which a refused request may come again. Requests that are refused together get different
   * times: places get free one after the other.
   *
   * @param tooLongMs time by which the queue is too long for it. Default 0
   */
  nextRetryAfterMs(nowMs: number, tooLongMs = 0): number {
    // Before any request has ended nobody knows when one will.
    const unknownMs = this.#durations.value === undefined ? leastRetryMs : 0;
    const intervalMs = Math.max(this.#intervalMs(nowMs) ?? 0, unknownMs);
    const latestMs = nowMs + mostRetryMs;
    this.#retryAtMs = Math.min(Math.max(this.#retryAtMs, nowMs + tooLongMs) + intervalMs, latestMs);
    return Math.max(this.#retryAtMs - nowMs, leastRetryMs);
  }
}

/** The place of a request that gave up waiting. */
const nowhere: QueuePlace = { position: 0, sequences: 0, promptTokens: 0 };

function placesOf(order: readonly OwnTicket[]): ReadonlyMap<Ticket, QueuePlace> {
  const places = new Map<Ticket, QueuePlace>();
  let [sequences, promptTokens] = [0, 0];
  for (const ticket of order) {
    sequences += ticket.sequences;
    promptTokens += ticket.promptTokens;
    places.set(ticket, { position: places.size + 1, sequences, promptTokens });
  }
  return places;
}

function costOf({ promptTokens, generatedTokens }: TokensTaken): number {
  return Math.max(1, promptTokens + generatedWeight * generatedTokens);
}
