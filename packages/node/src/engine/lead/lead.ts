import {
  asSkeinError,
  invariant,
  SkeinError,
  toWireError,
  type GenerationEvent,
  type GenerationInput,
  type ReadAlongEvent,
  type ReadAlongInput,
  type Resume,
  type Sampled,
  type Sampling,
  type Step,
} from '@skein/protocol';

import type { Stage, StageOutput } from '../stage/stage.ts';
import { Answer, contradicts, hashOf, type SequenceCost } from './answer.ts';
import { ChannelFilter, findChannelMarks, type ChannelMarks } from './channels.ts';
import type { ChatTemplate } from './chat-template/chat-template.ts';
import type { PrefixNews } from './held-prompts.ts';
import { LoadMeter, type LeadLoad } from './load-meter.ts';
import { PromptReader } from './prompt-reader.ts';
import { Scheduler, type Outcome, type SchedulerOptions } from './scheduler.ts';
import type { Sequence, SequenceRequest } from './sequence.ts';
import type { TokenEmbedder } from './token-embedder.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The part of a request that the engine needs. */
export type Generation = Omit<GenerationInput, 'jsonSchema'>;

/** An event of a generation, or of a text that is read along. */
export type LeadEvent = GenerationEvent | ReadAlongEvent;

export interface LeadComponents {
  readonly tokenizer: Tokenizer;
  /** Template of the model; undefined where it has none: conversations are refused then. */
  readonly chatTemplate: ChatTemplate | undefined;
  readonly stage: Pick<Stage, 'run' | 'runFailed'>;
  /** Embedder; present when the stage takes hidden rows, that is, when the model is split. */
  readonly embedder: TokenEmbedder | undefined;
  /** Sends a step and its hidden rows to the next stage. */
  readonly sendStep: (step: Step, hidden: Uint8Array) => void;
  /**
   * Throws `invalid-request` for settings that the tail could not sample with: a step that fails there fails others,
   * too.
   */
  readonly checkSampling: (sampling: Sampling) => void;
  readonly emit: (generation: string, event: LeadEvent) => void;
  /** Called when a step has come back without a token, or has failed: a long prompt is being read, say. */
  readonly onProgress: () => void;
  /** Called when nothing is left to do, with the number of generations started so far. */
  readonly onIdle: (started: number) => void;
  /** Called when the number of active or queued sequences has changed, or that of tokens to read by an eighth or so. */
  readonly onLoad: (load: LeadLoad) => void;
  /** Called when the cache holds other prompts than before. */
  readonly onPrefixes: (news: PrefixNews) => void;
  /** Returns the milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Runs a callback soon, after pending input has been read. */
  readonly defer: (callback: () => void) => void;
}

export interface LeadOptions extends Omit<SchedulerOptions, 'maxQueued'> {
  /** Number of the first step, where another lead may have used the other stages before. Default: they are new. */
  readonly firstStep?: number;
}

const maxQueued = 64;
/**
 * Pause between two signs of life to the reader of a preempted sequence, in milliseconds: well below the minute that
 * clients wait for a token.
 */
const signOfLifeMs = 10_000;

/** A text that is read along. */
interface Read {
  readonly sequence: Sequence;
  readonly hearsProgress: boolean;
  isBegun: boolean;
}

/** A generation under way. */
interface Served {
  readonly sequence: Sequence;
  readonly answer: Answer;
}

/**
 * The lead's engine: it turns requests into sequences, keeps the ring full, and turns tokens into text. It drives the
 * scheduler: reports events to it, carries out the outcomes, and computes and sends the micro-batches that it asks for.
 */
export class Lead {
  readonly #components: LeadComponents;
  readonly #options: LeadOptions;
  #scheduler: Scheduler;
  readonly #served = new Map<string, Served>();
  /** Texts that are read along, by the ids of their requests. */
  readonly #reads = new Map<string, Read>();
  /** The text that was being read along when its readers were last told, and how far it was. */
  #toldRead: { readonly id: string; readonly confirmed: number } | undefined;
  readonly #channelMarks: ChannelMarks | undefined;
  readonly #prompts: PromptReader;
  #load: LoadMeter;
  #pumpIsDue = false;
  #lastSignOfLifeAt: number;
  #started = 0;
  /** Generations started when idleness was last reported; undefined while there is work. */
  #idleSince: number | undefined;

  constructor(components: LeadComponents, options: LeadOptions) {
    this.#components = components;
    this.#options = options;
    this.#scheduler = new Scheduler({ ...options, maxQueued }, options.firstStep);
    this.#lastSignOfLifeAt = components.now();
    this.#load = new LoadMeter(components.now());
    this.#channelMarks = findChannelMarks(components.tokenizer);
    const { tokenizer, chatTemplate } = components;
    this.#prompts = new PromptReader({ tokenizer, chatTemplate, contextTokens: options.contextTokens });
  }

  /**
   * Starts or resumes a generation. Its events follow through `emit`: that it has begun first, exactly one end or error
   * last.
   */
  start(id: string, generation: Generation): void {
    this.#started += 1;
    try {
      this.#components.checkSampling(generation.sampling);
      const { answer, request } = this.#prepare(id, generation);
      if (!answer.isComplete) this.#served.set(id, { answer, sequence: this.#scheduler.add(request) });
      this.#emit(id, answer.begin());
      if (answer.isComplete) this.#emit(id, [answer.end({ cachedTokens: 0, draftedTokens: 0 })]);
    } catch (error) {
      this.#components.emit(id, { type: 'generation-error', error: toWireError(error) });
    }
    this.#changed();
  }

  /**
   * Reads a prompt, and the tokens of an answer that another lead generates, into the cache: when nobody waits, and as long
   * as nobody needs the room. That it has been read follows through `emit`, or an error; before, to those that hear of it,
   * that it begins, and now and then that this text, or one before it, was read on.
   */
  read(id: string, reading: ReadAlongInput): void {
    this.#started += 1;
    try {
      const { moves, hearsProgress = false } = reading;
      const sequence = this.#scheduler.read({ id, moves, ...this.#prepareToRead(reading) });
      this.#reads.set(id, { sequence, hearsProgress, isBegun: false });
    } catch (error) {
      this.#components.emit(id, { type: 'generation-error', error: toWireError(error) });
    }
    this.#changed();
  }

  /** Ends a generation, or the reading of a text, that nobody waits for any more. No event follows. */
  cancel(id: string): void {
    const sequence = (this.#served.get(id) ?? this.#reads.get(id))?.sequence;
    if (sequence === undefined) return;
    this.#served.delete(id);
    this.#reads.delete(id);
    this.#scheduler.end(sequence);
    this.#changed();
  }

  /**
   * Begins anew after the ring was broken and before it is closed again: all generations end, and whatever is still under
   * way from before counts for nothing.
   */
  resetRing(): void {
    const error = toWireError(new SkeinError('stage-lost', 'another stage of the pipeline was lost'));
    for (const id of [...this.#served.keys(), ...this.#reads.keys()]) {
      this.#emit(id, [{ type: 'generation-error', error }]);
    }
    this.#served.clear();
    this.#reads.clear();
    this.#scheduler = new Scheduler({ ...this.#options, maxQueued }, this.#scheduler.nextStep);
    this.#load = new LoadMeter(this.#components.now());
    this.#changed();
  }

  /** Takes the tail's tokens for a step. */
  completeStep({ step, draws }: Pick<Sampled, 'step' | 'draws'>): void {
    if (this.#scheduler.isOthers(step)) return;
    const { vocabularySize } = this.#components.tokenizer;
    const outside = draws.flatMap(({ tokens }) => tokens).find((token) => token >= vocabularySize);
    if (outside !== undefined) {
      throw new SkeinError('protocol-violation', `the tail drew token ${outside} of a vocabulary of ${vocabularySize}`);
    }
    this.#carryOut(this.#scheduler.complete(step, draws));
    if (draws.every(({ tokens }) => tokens.length === 0)) this.#components.onProgress();
    this.#showLife();
    this.#changed();
  }

  /** Takes the news that a step failed on some stage. */
  failStep(step: number, error: SkeinError): void {
    if (this.#scheduler.isOthers(step)) return;
    this.#failStep(step, error, { answerIsDue: false });
  }

  #failStep(step: number, error: SkeinError, { answerIsDue }: { readonly answerIsDue: boolean }): void {
    this.#carryOut(this.#scheduler.fail(step, error, { answerIsDue }));
    this.#components.onProgress();
    this.#changed();
  }

  #carryOut(outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const { sequence } = outcome;
      const { id } = sequence.request;
      const { answer } = invariant(this.#served.get(id), 'nothing comes of a sequence that was ended');
      switch (outcome.type) {
        case 'tokens-drawn':
          this.#read(outcome, answer);
          break;
        case 'sequence-failed':
          this.#served.delete(id);
          this.#emit(id, [{ type: 'generation-error', error: toWireError(outcome.error) }]);
          break;
      }
    }
  }

  /** Reads tokens into an answer, up to its end. */
  #read({ sequence, tokens }: Extract<Outcome, { type: 'tokens-drawn' }>, answer: Answer): void {
    const { id } = sequence.request;
    for (const [index, drawn] of tokens.entries()) {
      this.#emit(id, answer.push(drawn));
      if (!answer.isComplete) continue;
      this.#served.delete(id);
      const { now } = this.#components;
      const end = answer.end(costOf(sequence));
      this.#load.noteAnswer(
        {
          tokens: end.usage.completionTokens,
          acceptedTokens: end.usage.acceptedTokens ?? 0,
          decodeMs: end.timings.decodeMs,
        },
        now(),
      );
      this.#emit(id, [end]);
      this.#scheduler.end(sequence, { unread: tokens.length - index - 1, answer: answer.text });
      return;
    }
  }

  #emit(id: string, events: readonly LeadEvent[]): void {
    for (const event of events) this.#components.emit(id, event);
  }

  /**
   * Sends signs of life of preempted sequences, which may be away for as long as an older one runs, and of texts that are
   * read along, or wait for one that is. Sequences that have not begun send none yet.
   */
  #showLife(): void {
    const { now, emit } = this.#components;
    if (now() - this.#lastSignOfLifeAt < signOfLifeMs) return;
    this.#lastSignOfLifeAt = now();
    this.#tellProgress();
    for (const [id, { sequence }] of this.#served) {
      if (sequence.isAway && sequence.generated > 0) emit(id, { type: 'text-delta', text: '', tokens: [] });
    }
  }

  /** Tells those that hear of it where something was read along since they were told last. */
  #tellProgress(): void {
    const read = this.#scheduler.runningRead;
    const told = this.#toldRead;
    this.#toldRead = read && { id: read.request.id, confirmed: read.confirmed };
    if (read === undefined || (told?.id === read.request.id && told.confirmed === read.confirmed)) return;
    for (const [reader, { hearsProgress }] of this.#reads) {
      if (hearsProgress) this.#emit(reader, [{ type: 'read-along-progress' }]);
    }
  }

  #changed(): void {
    this.#tellReads();
    this.#tellCounts();
    this.#tellIdle();
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#components.defer(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #tellReads(): void {
    for (const [id, read] of this.#reads) {
      const { sequence, hearsProgress, isBegun } = read;
      if (!hearsProgress || isBegun || !sequence.hasBegun) continue;
      read.isBegun = true;
      this.#emit(id, [{ type: 'read-along-begin', cachedTokens: sequence.cachedTokens }]);
    }
    for (const { sequence, error } of this.#scheduler.takeEndedReads()) {
      const { id } = sequence.request;
      if (!this.#reads.delete(id)) continue;
      const { cachedTokens } = sequence;
      this.#emit(id, [
        error === undefined
          ? { type: 'read-along-end', cachedTokens }
          : { type: 'generation-error', error: toWireError(error) },
      ]);
    }
  }

  #tellCounts(): void {
    const load = this.#load.update(this.#scheduler, this.#components.now());
    if (load !== undefined) this.#components.onLoad(load);
    const news = this.#scheduler.takePrefixNews();
    if (news !== undefined) this.#components.onPrefixes(news);
  }

  #tellIdle(): void {
    const idleSince = this.#scheduler.isIdle ? this.#started : undefined;
    if (idleSince !== undefined && idleSince !== this.#idleSince) this.#components.onIdle(idleSince);
    this.#idleSince = idleSince;
  }

  /** Computes and sends one micro-batch. Each one goes through `defer`, so that requests and answers are read in between. */
  #pump(): void {
    const scheduled = this.#scheduler.next();
    this.#tellReads();
    this.#tellCounts();
    if (scheduled === undefined) return;
    const { step, tokens } = scheduled;
    const { stage, embedder, sendStep, now } = this.#components;
    let output: StageOutput;
    const startedAt = now();
    try {
      output = stage.run(step, embedder === undefined ? { tokens } : { hidden: embedder.lookUp(tokens) });
    } catch (error) {
      // The step's operations count all the same, here (where they may have been applied already, which does no harm)
      // and in the other stages, so that the caches stay alike: send it without rows.
      const isSplit = embedder !== undefined;
      stage.runFailed(step);
      if (isSplit) sendStep({ ...step, entries: [] }, new Uint8Array(0));
      this.#failStep(step.step, asSkeinError(error, 'engine-failed'), { answerIsDue: isSplit });
      return;
    }
    this.#scheduler.observeCost(step, now() - startedAt);
    if ('draws' in output) this.completeStep({ step: step.step, draws: output.draws });
    else {
      sendStep(step, output.hidden);
      this.#changed();
    }
  }

  #prepare(id: string, generation: Generation): { readonly answer: Answer; readonly request: SequenceRequest } {
    const { tokenizer, now } = this.#components;
    const { sampling, stop, speculation, resume, askedAt = Date.now() } = generation;
    const prompt = this.#prompts.read(generation.prompt, new Date(askedAt));
    const maxTokens = this.#completionLimit(prompt.length, generation.maxTokens);
    if (resume !== undefined) assertHasState(resume, sampling);
    const channels = this.#channelsOf(generation, prompt);
    const options = { tokenizer, stop, channels, prompt, maxTokens, now };
    const request: SequenceRequest = {
      id,
      prompt,
      sampling,
      mostTokens: prompt.length + maxTokens,
      speculates: speculation !== false,
      resume,
    };
    return { answer: new Answer(options, resume), request };
  }

  /** Checks and tokenizes what is to be read along. */
  #prepareToRead({ prompt: packed, askedAt, promptHash, tokens }: ReadAlongInput): {
    readonly prompt: readonly number[];
    readonly tokens: readonly number[];
  } {
    if (!this.#options.rewinds) {
      throw new SkeinError('invalid-request', 'nothing is read along here: the memory of this model keeps no prefixes');
    }
    const prompt = this.#prompts.read(packed, new Date(askedAt));
    if (hashOf(prompt) !== promptHash) throw contradicts('here its prompt has other tokens');
    const { vocabularySize } = this.#components.tokenizer;
    const outside = tokens.find((token) => token >= vocabularySize);
    if (outside !== undefined) throw contradicts(`token ${outside} is outside the model's vocabulary`);
    return { prompt, tokens };
  }

  /**
   * Returns the channel filter for a conversation whose answer may have channels. A grammar covers the whole text, and
   * leaves no room for headers.
   */
  #channelsOf({ prompt: { type }, sampling }: Generation, prompt: readonly number[]): ChannelFilter | undefined {
    if (type !== 'chat' || sampling.grammar !== undefined || this.#channelMarks === undefined) return undefined;
    return new ChannelFilter(this.#channelMarks, prompt);
  }

  /**
   * Returns the most tokens to generate: the number asked for, or an equal share of the context, in the room behind the
   * prompt.
   */
  #completionLimit(promptTokens: number, maxTokens: number | undefined): number {
    const { contextTokens, sequences } = this.#options;
    const share = Math.max(Math.floor(contextTokens / sequences) - promptTokens, minUnaskedTokens);
    return Math.min(maxTokens ?? share, contextTokens - promptTokens);
  }
}

/** Throws `invalid-request` where the state of a sampler that has one is missing behind its first token. */
function assertHasState({ tokens, mu }: Resume, { mirostat }: Sampling): void {
  if (mirostat !== undefined && tokens.length > 0 && mu === undefined) throw contradicts("Mirostat's state is missing");
}

/** Returns the cost of a sequence so far. */
function costOf({ cachedTokens, draftedTokens, request }: Sequence): SequenceCost {
  // Tokens of another lead are in the cache, too, where this one resumes a request a second time.
  return { cachedTokens: Math.min(cachedTokens, request.prompt.length), draftedTokens };
}

/** Completion tokens kept for a request that names no number, however long its prompt is. */
const minUnaskedTokens = 256;
