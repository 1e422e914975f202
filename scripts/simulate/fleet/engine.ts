import type { TracedRequest } from '../traces/request.ts';
import { BlockCache } from './block-cache.ts';
import type { EventQueue } from './event-queue.ts';

/** A machine that holds a whole replica, or a pipeline of several as one. */
export interface EngineSpec {
  /** Time to read a token of a prompt, in milliseconds, in steps full of them. */
  readonly msPerToken: number;
  /** Time of a step that only decodes, without its rows, in milliseconds. */
  readonly stepMs: number;
  /** Most rows of a step. */
  readonly rows: number;
  /** Sequences at once. */
  readonly sequences: number;
  /** Tokens of its prefix cache. */
  readonly cacheTokens: number;
}

/** A request at an engine. */
export interface Job {
  readonly request: TracedRequest;
  /** Tokens of its prompt that were in the cache. */
  cachedTokens: number;
  /** Time at which it took a place. */
  placedAtMs: number;
  /** Tokens that have yet to be read. */
  unread: number;
}

export interface EngineEvents {
  /** The first token of a job has come. */
  readonly onFirstToken: (job: Job) => void;
  readonly onEnd: (job: Job) => void;
  /** Counts that a card tells of have changed. */
  readonly onLoad: () => void;
  readonly onBlocks: (added: readonly number[], removed: readonly number[]) => void;
}

interface Decoding {
  readonly job: Job;
  /** Number of steps after which it has all its tokens. */
  readonly endStep: number;
}

/** Weight of the newest sequence in the mean time that one takes. */
const newestShare = 0.1;

/**
 * An engine that batches continuously, as Skein's lead and others do: each step has one row for every sequence that
 * decodes, and the rest of its rows for the prompt that is read, one prompt after the other. A prompt is looked up in the
 * cache when its turn to be read comes.
 */
export class Engine {
  readonly spec: EngineSpec;
  readonly #queue: EventQueue;
  readonly #events: EngineEvents;
  readonly #cache: BlockCache;
  readonly #blockTokens: number;
  readonly #waiting: Job[] = [];
  readonly #reading: Job[] = [];
  /** Sequences that decode, those that end first before the others. */
  readonly #decoding: Decoding[] = [];
  /** Steps of decoding so far, with fractions. */
  #steps = 0;
  #atMs = 0;
  #plan = 0;
  #sequenceMs: number | undefined;

  constructor(
    spec: EngineSpec,
    { queue, blockTokens, events }: { queue: EventQueue; blockTokens: number; events: EngineEvents },
  ) {
    this.spec = spec;
    this.#queue = queue;
    this.#events = events;
    this.#blockTokens = blockTokens;
    this.#cache = new BlockCache(Math.floor(spec.cacheTokens / blockTokens), events.onBlocks);
  }

  get active(): number {
    return this.#reading.length + this.#decoding.length;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  get waitingTokens(): number {
    this.#advance();
    const unread = (jobs: readonly Job[]): number => jobs.reduce((sum, job) => sum + job.unread, 0);
    return Math.ceil(unread(this.#reading) + unread(this.#waiting));
  }

  /** Mean time for which a sequence holds its place. */
  get sequenceMs(): number | undefined {
    return this.#sequenceMs;
  }

  add(request: TracedRequest): void {
    this.#advance();
    const cachedTokens = this.#cachedTokens(request);
    this.#waiting.push({ request, cachedTokens, placedAtMs: 0, unread: request.tokens - cachedTokens });
    this.#admit();
    this.#changed();
  }

  #cachedTokens({ blocks, tokens }: TracedRequest): number {
    return Math.min(this.#cache.held(blocks) * this.#blockTokens, tokens - 1);
  }

  #admit(): void {
    while (this.active < this.spec.sequences) {
      const job = this.#waiting.shift();
      if (job === undefined) return;
      job.placedAtMs = this.#queue.nowMs;
      this.#reading.push(job);
      if (this.#reading.length === 1) this.#beginReading();
    }
  }

  #beginReading(): void {
    const [job] = this.#reading;
    if (job === undefined) return;
    job.cachedTokens = this.#cachedTokens(job.request);
    job.unread = job.request.tokens - job.cachedTokens;
  }

  /** Milliseconds of a step as it is now. */
  get #msOfStep(): number {
    const { msPerToken, stepMs, rows } = this.spec;
    const decodingMs = stepMs + this.#decoding.length * msPerToken;
    return this.#reading.length === 0 ? decodingMs : Math.max(decodingMs, rows * msPerToken);
  }

  get #readPerStep(): number {
    return this.#reading.length === 0 ? 0 : Math.max(1, this.spec.rows - this.#decoding.length);
  }

  #advance(): void {
    const steps = (this.#queue.nowMs - this.#atMs) / this.#msOfStep;
    this.#atMs = this.#queue.nowMs;
    this.#steps += steps;
    const [job] = this.#reading;
    if (job !== undefined) job.unread = Math.max(0, job.unread - steps * this.#readPerStep);
  }

  #changed(): void {
    this.#events.onLoad();
    this.#plan += 1;
    const plan = this.#plan;
    const [job] = this.#reading;
    const [decoding] = this.#decoding;
    const untilRead = job === undefined ? Infinity : job.unread / this.#readPerStep;
    const untilEnd = decoding === undefined ? Infinity : decoding.endStep - this.#steps;
    const steps = Math.min(untilRead, untilEnd);
    if (steps === Infinity) return;
    const isRead = untilRead <= untilEnd;
    this.#queue.after(Math.max(0, steps) * this.#msOfStep, () => {
      if (plan !== this.#plan) return;
      this.#advance();
      if (isRead) this.#finishReading();
      else this.#finishDecoding();
      this.#admit();
      this.#changed();
    });
  }

  #finishReading(): void {
    const job = this.#reading.shift();
    if (job === undefined) return;
    this.#cache.use(job.request.blocks);
    this.#events.onFirstToken(job);
    if (job.request.outputTokens <= 1) this.#end(job);
    else {
      const endStep = this.#steps + job.request.outputTokens - 1;
      const place = this.#decoding.findIndex((other) => other.endStep > endStep);
      this.#decoding.splice(place === -1 ? this.#decoding.length : place, 0, { job, endStep });
    }
    this.#beginReading();
  }

  #finishDecoding(): void {
    const ended = this.#decoding.shift();
    if (ended !== undefined) this.#end(ended.job);
  }

  #end(job: Job): void {
    const tookMs = this.#queue.nowMs - job.placedAtMs;
    const before = this.#sequenceMs ?? tookMs;
    this.#sequenceMs = before + newestShare * (tookMs - before);
    this.#events.onEnd(job);
  }
}
