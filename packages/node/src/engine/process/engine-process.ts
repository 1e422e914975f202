import { randomUUID } from 'node:crypto';
import type { Duplex } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';

import {
  asSkeinError,
  encodeFrame,
  encodeFrameHead,
  FrameParser,
  fromWireError,
  isolated,
  onAbort,
  parseHeader,
  SkeinError,
  toLog,
  type Frame,
  type GenerationEvent,
  type Logger,
  type ReadAlongInput,
  type StagePlacement,
  type StageSpeed,
} from '@skein/protocol';

import { fromEngineSchema, type EngineLoad, type FromEngine, type ToEngine } from '../control.ts';
import type { Generation } from '../lead/lead.ts';
import type { PrefixNews } from '../lead/held-prompts.ts';
import type { LeadLoad } from '../lead/load-meter.ts';
import { inhibitors, keepAwake } from '../../awake/keep-awake.ts';
import { EngineChild } from './engine-child.ts';
import { EventFrames } from './event-frames.ts';
import { StallWatch } from './stall-watch.ts';

export interface EngineProcessOptions {
  readonly load: Omit<EngineLoad, 'type'>;
  /** Directory of further libraries that llama.cpp needs. Default: where the system looks. */
  readonly runtimeDirectory?: string | undefined;
  readonly logger: Logger;
  /**
   * Longest time that a lead with work may go without progress (a token, an end, or a step that came back), in
   * milliseconds, before its pipeline counts as hung: longer than any micro-batch takes. Default: two minutes.
   */
  readonly stallTimeoutMs?: number;
  /** Hears of the prefixes in its cache. Default: nobody. */
  readonly prefixes?: PrefixSink | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The prefixes in the cache of an engine, by the ids of the generations that brought them there. */
export interface PrefixSink {
  /** A prompt goes to the engine. */
  note(id: string, prompt: Generation['prompt']): void;
  /** Its generation is over. */
  ended(id: string): void;
  change(news: PrefixNews): void;
}

interface RunningGeneration {
  readonly frames: EventFrames;
  /** Whether its reader can have another lead continue it. */
  readonly mayHandOver: boolean;
  /** Whether its reader understands that it is to leave. */
  readonly hearsLeaving: boolean;
  /** Whether it generates nothing: a text is read along. */
  readonly isRead: boolean;
}

const noBytes = new Uint8Array(0);
/** Echoes whose median tells how long a frame takes to the engine and back. */
const echoes = 6;
/** Pause behind each, in milliseconds: more than a sweep of caches takes. */
const echoPauseMs = 40;
/** Longest wait for them all, in milliseconds: an engine that has just become ready does nothing else. */
const echoTimeoutMs = 1000;
const defaultStallTimeoutMs = 120_000;

/**
 * A loaded stage in a process of its own. When that process ends, for whatever reason, generations in flight get an
 * error, `lost` fires, and this process lives on.
 */
export class EngineProcess implements AsyncDisposable {
  readonly #child: EngineChild;
  readonly #logger: Logger;
  readonly #generations = new Map<string, RunningGeneration>();
  readonly #lost = new AbortController();
  readonly #ready = Promise.withResolvers<Extract<FromEngine, { type: 'engine-ready' }>>();
  readonly #stallWatch: StallWatch;
  readonly #prefixes: PrefixSink | undefined;
  #failure: SkeinError | undefined;
  #placement: StagePlacement = { backend: 'cpu', devices: [], cpuLayers: 0, fallbacks: [] };
  #pipeMs: number | undefined;
  #onEcho: (() => void) | undefined;
  #speed: StageSpeed = { decodeMsPerLayer: 0, prefillMsPerTokenPerLayer: 0, headMs: 0 };
  #stopping = false;
  #load: LeadLoad = { active: 0, queued: 0, waitingTokens: 0 };
  #onLoad: (() => void) | undefined;
  #onRunning: ((running: number) => void) | undefined;

  private constructor(options: EngineProcessOptions) {
    this.#logger = options.logger;
    this.#prefixes = options.prefixes;
    this.#child = new EngineChild(options.logger, options);
    // Callers of start() see the rejection; without this, one that comes later would count as unhandled.
    this.#ready.promise.catch(() => undefined);
    this.#readControl();
    const timeoutMs = options.stallTimeoutMs ?? defaultStallTimeoutMs;
    this.#stallWatch = new StallWatch({ timeoutMs, onStall: () => this.#endStalled(timeoutMs) });
    void this.#child.ended.then((reason) => this.#end(this.#failure ?? reason));
  }

  /**
   * Starts a process and loads the stage.
   *
   * @throws SkeinError `engine-failed` when it can't be loaded, `stage-lost` when the process dies over it
   */
  static async start(options: EngineProcessOptions): Promise<EngineProcess> {
    options.signal?.throwIfAborted();
    const engine = new EngineProcess(options);
    const abort = (): void => void engine.stop();
    using _abort = onAbort(options.signal, abort);
    try {
      engine.#send({ type: 'engine-load', ...options.load });
      const { placement, speed, isHeavy } = await engine.#ready.promise;
      engine.#placement = placement;
      engine.#speed = speed;
      engine.#pipeMs = await engine.#measurePipe(isHeavy);
      options.signal?.throwIfAborted();
      const { pid } = engine;
      if (options.load.keepAwake === true && pid !== undefined) {
        void keepAwake(inhibitors(process.platform, pid), options.logger);
      }
      return engine;
    } catch (error) {
      await engine.stop();
      options.signal?.throwIfAborted();
      throw error;
    }
  }

  get pid(): number | undefined {
    return this.#child.pid;
  }

  /** Memory in which the stage lies. */
  get placement(): StagePlacement {
    return this.#placement;
  }

  /** Speed of the stage, measured right after it was loaded. */
  get speed(): StageSpeed {
    return this.#speed;
  }

  /**
   * Time of a small frame to the engine's process, or from there, in milliseconds: half of the time to an echo. Undefined
   * where none came.
   */
  get pipeMs(): number | undefined {
    return this.#pipeMs;
  }

  /** Fires, with a SkeinError as reason, when the process has ended other than by {@link stop}. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** The engine's end of the ring: bytes of ring frames in both directions. */
  get ring(): Duplex {
    return this.#child.ring;
  }

  /** The lead's work: nothing on other stages. */
  get load(): LeadLoad {
    return this.#load;
  }

  /** Calls back when {@link load} has changed. An error in the callback is logged. */
  onLoad(callback: () => void): void {
    this.#onLoad = isolated(callback, toLog(this.#logger, 'the load of an engine'));
  }

  /**
   * Calls back with the number of generations that have not ended: now, and whenever one begins or ends. Texts that are read
   * along do not count.
   */
  onRunning(callback: (running: number) => void): void {
    this.#onRunning = callback;
    this.#tellRunning();
  }

  /**
   * Generates on a lead. Yields whole frames of the `generate` stream as they come, one or more at a time, without
   * decoding them. Leaving the loop or aborting frees the sequence within one step.
   *
   * @throws SkeinError the engine's own error, `stage-lost` when the engine dies meanwhile, `aborted` when the signal
   * aborts
   */
  generate(
    { prompt, mayHandOver = false, hearsLeaving = false, ...settings }: Generation,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const generation = { prompt: prompt.type, ...settings };
    const start = (id: string) => ({ type: 'generation-start', id, generation }) as const;
    return this.#follow(prompt, { ...options, mayHandOver, hearsLeaving, isRead: false, start });
  }

  /**
   * Reads along on a lead. Yields whole frames of the `read-along` stream.
   *
   * @throws SkeinError as {@link generate} does
   */
  readAlong(
    { prompt, ...rest }: ReadAlongInput,
    options: { readonly signal?: AbortSignal } = {},
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const reading = { prompt: prompt.type, ...rest };
    const start = (id: string) => ({ type: 'read-along-start', id, reading }) as const;
    return this.#follow(prompt, { ...options, mayHandOver: false, hearsLeaving: false, isRead: true, start });
  }

  async *#follow(
    prompt: Generation['prompt'],
    options: Omit<RunningGeneration, 'frames'> & {
      readonly signal?: AbortSignal;
      readonly start: (id: string) => ToEngine;
    },
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const { mayHandOver, hearsLeaving, isRead, start } = options;
    this.#lost.signal.throwIfAborted();
    options.signal?.throwIfAborted();
    const id = randomUUID();
    const frames = new EventFrames();
    const abort = (): void => frames.fail(asSkeinError(options.signal?.reason, 'aborted'));
    using _abort = onAbort(options.signal, abort);
    this.#generations.set(id, { frames, mayHandOver, hearsLeaving, isRead });
    this.#tellRunning();
    this.#stallWatch.onRequest();
    this.#prefixes?.note(id, prompt);
    this.#send(start(id), prompt.bytes);
    try {
      yield* frames;
    } finally {
      // Still there: it has not ended by itself.
      if (this.#forget(id) !== undefined) this.#send({ type: 'generation-cancel', id });
    }
  }

  /**
   * Ends every generation that another lead can continue with an error that says so, behind the tokens that have come;
   * the others run on. Their readers may take what is unread after this.
   */
  handOver(error: SkeinError): void {
    this.#cut(error, ({ mayHandOver }) => mayHandOver);
  }

  /**
   * Tells the readers that understand it that their generations are to be handed over after so many milliseconds, and lets
   * those go on; hands the others over now. Call {@link handOver} when the time is over.
   */
  leave(forMs: number, error: SkeinError): void {
    this.#cut(error, ({ mayHandOver, hearsLeaving }) => mayHandOver && !hearsLeaving);
    const leaving = encodeFrame({ type: 'generation-leaving', forMs } satisfies GenerationEvent);
    for (const { mayHandOver, frames } of this.#generations.values()) if (mayHandOver) frames.push(leaving);
  }

  /** Ends the reading of all texts that are read along with an error. */
  endReads(error: SkeinError): void {
    this.#cut(error, ({ isRead }) => isRead);
  }

  #cut(error: SkeinError, isMeant: (generation: RunningGeneration) => boolean): void {
    for (const [id, generation] of this.#generations) {
      if (!isMeant(generation)) continue;
      this.#forget(id)?.fail(error);
      this.#send({ type: 'generation-cancel', id });
    }
  }

  /**
   * Forgets a generation, so that further events of it are dropped, and returns its unread frames; undefined when it
   * had ended before.
   */
  #forget(id: string): EventFrames | undefined {
    const generation = this.#generations.get(id);
    if (this.#generations.delete(id)) {
      this.#prefixes?.ended(id);
      this.#tellRunning();
    }
    return generation?.frames;
  }

  #tellRunning(): void {
    if (this.#onRunning === undefined) return;
    this.#onRunning([...this.#generations.values()].filter(({ isRead }) => !isRead).length);
  }

  /**
   * Ends every generation with an error, and has a lead begin anew, since its ring was broken: once the ring is closed
   * again, nothing of what was under way before counts.
   */
  resetRing(error: SkeinError): void {
    this.failGenerations(error);
    this.#send({ type: 'ring-reset' });
  }

  /** Ends every generation with an error, as when another stage of the pipeline is lost. */
  failGenerations(error: SkeinError): void {
    for (const { frames } of this.#generations.values()) frames.fail(error);
  }

  /** Ends the process and waits until it is gone. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.#child.stop();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  #send(message: ToEngine, payload: Uint8Array = noBytes): void {
    const { control } = this.#child;
    if (!control.writable) return;
    // Not copied into one: a prompt may have megabytes.
    control.cork();
    control.write(encodeFrameHead(message, payload.byteLength));
    control.write(payload);
    control.uncork();
  }

  /**
   * Times echoes, with a pause before each: a frame that comes once in a step finds both processes asleep, and their
   * programs swept from the caches by weights, where there are many.
   */
  async #measurePipe(isHeavy: boolean): Promise<number | undefined> {
    const trips: number[] = [];
    const until = AbortSignal.timeout(echoTimeoutMs);
    const late = new Promise<'late'>((resolve) => void onAbort(until, () => resolve('late')));
    for (let count = 0; count < echoes; count += 1) {
      const startedAt = performance.now();
      const answered = new Promise<'answered'>((resolve) => (this.#onEcho = () => resolve('answered')));
      const sweeps = isHeavy && count + 1 < echoes;
      this.#send({ type: 'engine-echo', sweeps });
      if ((await Promise.race([answered, late, this.#child.ended])) !== 'answered') break;
      trips.push(performance.now() - startedAt);
      if (sweeps) await delay(echoPauseMs);
    }
    const middle = trips.toSorted((one, other) => one - other)[trips.length >> 1];
    return middle === undefined ? undefined : middle / 2;
  }

  #readControl(): void {
    const parser = new FrameParser();
    this.#child.control.on('data', (chunk: Uint8Array) => {
      for (const { message, payload } of this.#parse(parser, chunk)) this.#receive(message, payload);
    });
  }

  /** Parses messages of the engine. Ends an engine that sends nonsense, since it can't be relied on any more. */
  #parse(parser: FrameParser, chunk: Uint8Array): { readonly message: FromEngine; readonly payload: Uint8Array }[] {
    try {
      const parse = ({ header, payload }: Frame) => ({ message: parseHeader(fromEngineSchema, header), payload });
      return parser.push(chunk).map(parse);
    } catch (error) {
      this.#failure ??= asSkeinError(error);
      this.#child.kill();
      return [];
    }
  }

  #receive(message: FromEngine, payload: Uint8Array): void {
    switch (message.type) {
      case 'engine-ready':
        this.#ready.resolve(message);
        break;
      case 'engine-echo':
        this.#onEcho?.();
        break;
      case 'engine-failed':
        this.#failure = fromWireError(message.error);
        break;
      case 'engine-progress':
        this.#stallWatch.onProgress();
        break;
      case 'engine-idle':
        this.#stallWatch.onIdle(message.requests);
        break;
      case 'engine-load-changed': {
        const { type: _, ...load } = message;
        this.#load = load;
        this.#onLoad?.();
        break;
      }
      case 'engine-prefixes-changed':
        this.#prefixes?.change(message);
        break;
      case 'generation-event':
        this.#stallWatch.onProgress();
        this.#generations.get(message.id)?.frames.push(payload);
        if (message.isLast) this.#forget(message.id)?.end();
        break;
      case 'generation-failed':
        // No progress: it may answer a request that has just come, and says nothing about those before.
        this.#forget(message.id)?.fail(fromWireError(message.error));
        break;
    }
  }

  /**
   * Ends the engine after a stall: a step that never comes back, from this engine or from another stage, would hold its
   * sequences for ever.
   */
  #endStalled(timeoutMs: number): void {
    const seconds = Math.round(timeoutMs / 1000);
    this.#failure ??= new SkeinError('stage-lost', `a stage of the pipeline has not answered for ${seconds} s`);
    this.#child.kill();
  }

  #end(error: SkeinError): void {
    this.#stallWatch.stop();
    this.#ready.reject(error);
    this.failGenerations(error);
    this.#generations.clear();
    if (this.#stopping) return;
    const outcome = 'what it served goes on elsewhere, and is loaded anew where there is room';
    this.#logger.error({ pid: this.pid, code: error.code, cause: error.cause }, `${error.message}; ${outcome}`);
    this.#lost.abort(error);
  }
}
