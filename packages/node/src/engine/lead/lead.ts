import {
  asSkeinError,
  SkeinError,
  toWireError,
  unpackPrompt,
  type GenerationEvent,
  type GenerationInput,
  type PackedPrompt,
  type Sampled,
  type Sampling,
  type Step,
} from '@skein/protocol';

import type { Stage, StageOutput } from '../stage/stage.ts';
import { Answer, contradicts, type SequenceCost } from './answer.ts';
import { ChannelFilter, findChannelMarks, type ChannelMarks } from './channels.ts';
import type { ChatTemplate } from './chat-template/chat-template.ts';
import { Scheduler, type SchedulerOptions } from './scheduler.ts';
import type { Sequence, SequenceRequest } from './sequence.ts';
import type { TokenEmbedder } from './token-embedder.ts';
import type { Tokenizer } from './tokenizer.ts';

/** The part of a request that the engine needs. */
export type Generation = Omit<GenerationInput, 'jsonSchema'>;

export interface LeadComponents {
  readonly tokenizer: Tokenizer;
  /** Absent where the model has none: conversations are refused then. */
  readonly chatTemplate: ChatTemplate | undefined;
  readonly stage: Pick<Stage, 'run'>;
  /** Present when the stage takes hidden rows, that is, when the model is split. */
  readonly embedder: TokenEmbedder | undefined;
  /** Sends a step and its hidden rows to the next stage. */
  readonly sendStep: (step: Step, hidden: Uint8Array) => void;
  /** Throws `invalid-request` for what the tail could not sample with: a step that fails there fails others, too. */
  readonly checkSampling: (sampling: Sampling) => void;
  readonly emit: (generation: string, event: GenerationEvent) => void;
  /** Told when a step has come back that gave no token, or has failed: a long prompt is being worked on, say. */
  readonly onProgress: () => void;
  /** Told when nothing is left to do, with the number of generations started so far. */
  readonly onIdle: (started: number) => void;
  /** Told when the number of active or queued sequences has changed. */
  readonly onLoad: (load: { active: number; queued: number }) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
  /** Runs a callback soon, after pending input has been read. */
  readonly defer: (callback: () => void) => void;
}

export type LeadOptions = Omit<SchedulerOptions, 'maxQueued'>;

const maxQueued = 64;
/** How often those hear something whose sequence waits to come back: well below the minute that clients wait for a token. */
const signOfLifeMs = 10_000;

/** The lead's engine: turns requests into sequences, keeps the ring full, turns tokens into text. */
export class Lead {
  readonly #components: LeadComponents;
  readonly #options: LeadOptions;
  readonly #scheduler: Scheduler;
  readonly #sequences = new Map<string, Sequence>();
  readonly #channelMarks: ChannelMarks | undefined;
  #load = { active: 0, queued: 0 };
  #pumpIsDue = false;
  #lastSignOfLifeAt: number;
  #started = 0;
  /** Generations started when it was last said that nothing is left to do; undefined while something is. */
  #idleSince: number | undefined;

  constructor(components: LeadComponents, options: LeadOptions) {
    this.#components = components;
    this.#options = options;
    this.#scheduler = new Scheduler({ ...options, maxQueued });
    this.#lastSignOfLifeAt = components.now();
    this.#channelMarks = findChannelMarks(components.tokenizer);
  }

  /** Starts or resumes a generation. Its events follow through `emit`: that it has begun first, exactly one end or error last. */
  start(id: string, generation: Generation): void {
    this.#started += 1;
    try {
      this.#components.checkSampling(generation.sampling);
      const { answer, request } = this.#read(id, generation);
      if (!answer.isComplete) this.#sequences.set(id, this.#scheduler.add(request));
      answer.begin();
    } catch (error) {
      this.#components.emit(id, { type: 'generation-error', error: toWireError(error) });
    }
    this.#changed();
  }

  /** Ends a generation that nobody waits for any more. No event follows. */
  cancel(id: string): void {
    const sequence = this.#sequences.get(id);
    if (sequence === undefined) return;
    this.#sequences.delete(id);
    this.#scheduler.cancel(sequence);
    this.#changed();
  }

  /** Takes the tail's tokens for a step. */
  completeStep({ step, draws }: Pick<Sampled, 'step' | 'draws'>): void {
    const { vocabularySize } = this.#components.tokenizer;
    const outside = draws.flatMap(({ tokens }) => tokens).find((token) => token >= vocabularySize);
    if (outside !== undefined) {
      throw new SkeinError('protocol-violation', `the tail drew token ${outside} of a vocabulary of ${vocabularySize}`);
    }
    this.#scheduler.complete(step, draws);
    if (draws.every(({ tokens }) => tokens.length === 0)) this.#components.onProgress();
    this.#showLife();
    this.#changed();
  }

  /** Takes the news that a step failed on some stage. */
  failStep(step: number, error: SkeinError): void {
    this.#scheduler.fail(step, error, { answerIsDue: false });
    this.#components.onProgress();
    this.#changed();
  }

  /** A preempted sequence may be away for as long as an older one goes on. Of those not begun nothing may be sent yet. */
  #showLife(): void {
    const { now, emit } = this.#components;
    if (now() - this.#lastSignOfLifeAt < signOfLifeMs) return;
    this.#lastSignOfLifeAt = now();
    for (const [id, { isAway, generated }] of this.#sequences) {
      if (isAway && generated > 0) emit(id, { type: 'text-delta', text: '', tokens: [] });
    }
  }

  #changed(): void {
    const { active, queued } = this.#scheduler;
    if (active !== this.#load.active || queued !== this.#load.queued) {
      this.#load = { active, queued };
      this.#components.onLoad(this.#load);
    }
    this.#tellIdle();
    if (this.#pumpIsDue) return;
    this.#pumpIsDue = true;
    this.#components.defer(() => {
      this.#pumpIsDue = false;
      this.#pump();
    });
  }

  #tellIdle(): void {
    const idleSince = this.#scheduler.isIdle ? this.#started : undefined;
    if (idleSince !== undefined && idleSince !== this.#idleSince) this.#components.onIdle(idleSince);
    this.#idleSince = idleSince;
  }

  /** Computes and sends one micro-batch. Each one goes through `defer`, so that requests and answers are read in between. */
  #pump(): void {
    const scheduled = this.#scheduler.next();
    if (scheduled === undefined) return;
    const { step, tokens } = scheduled;
    const { stage, embedder, sendStep, now } = this.#components;
    let output: StageOutput;
    const startedAt = now();
    try {
      output = stage.run(step, embedder === undefined ? { tokens } : { hidden: embedder.lookUp(tokens) });
    } catch (error) {
      // The step's operations count all the same, here (where they may have been applied already, which does no harm)
      // and in the other stages, so that the caches stay alike: run and send it without rows.
      const isSplit = embedder !== undefined;
      const rowless = { ...step, entries: [] };
      stage.run(rowless, isSplit ? { hidden: new Uint8Array(0) } : { tokens: new Int32Array(0) });
      if (isSplit) sendStep(rowless, new Uint8Array(0));
      this.#scheduler.fail(step.step, asSkeinError(error, 'engine-failed'), { answerIsDue: isSplit });
      this.#components.onProgress();
      this.#changed();
      return;
    }
    this.#scheduler.observeCost(step, now() - startedAt);
    if ('draws' in output) this.completeStep({ step: step.step, draws: output.draws });
    else {
      sendStep(step, output.hidden);
      this.#changed();
    }
  }

  #read(id: string, generation: Generation): { readonly answer: Answer; readonly request: SequenceRequest } {
    const { tokenizer, now, emit } = this.#components;
    const { sampling, stop, speculation, resume } = generation;
    const prompt = this.#encode(generation.prompt);
    const maxTokens = this.#completionLimit(prompt.length, generation.maxTokens);
    if (
      sampling.mirostat !== undefined &&
      resume !== undefined &&
      resume.tokens.length > 0 &&
      resume.mu === undefined
    ) {
      throw contradicts("Mirostat's state is missing");
    }
    const channels = this.#channelsOf(generation, prompt);
    const options = { tokenizer, stop, channels, prompt, maxTokens, now };
    const cost = (): SequenceCost => costOf(this.#sequences.get(id));
    const answer = new Answer({ ...options, cost, emit: (event) => emit(id, event) }, resume);
    const request: SequenceRequest = {
      prompt,
      sampling,
      mostTokens: prompt.length + maxTokens,
      speculates: speculation !== false,
      resume,
      onToken: (drawn) => {
        const goesOn = answer.push(drawn);
        if (!goesOn) this.#sequences.delete(id);
        return goesOn;
      },
      onError: (error) => {
        this.#sequences.delete(id);
        emit(id, { type: 'generation-error', error: toWireError(error) });
      },
    };
    return { answer, request };
  }

  /** A conversation's answer may have channels. A grammar is about the whole text, and leaves no room for headers. */
  #channelsOf({ prompt: { type }, sampling }: Generation, prompt: readonly number[]): ChannelFilter | undefined {
    if (type !== 'chat' || sampling.grammar !== undefined || this.#channelMarks === undefined) return undefined;
    return new ChannelFilter(this.#channelMarks, prompt);
  }

  #encode(packed: PackedPrompt): readonly number[] {
    const { tokenizer, chatTemplate } = this.#components;
    const prompt = unpackPrompt(packed);
    switch (prompt.type) {
      case 'tokens': {
        const outside = prompt.tokens.find((token) => token >= tokenizer.vocabularySize);
        if (outside === undefined) return prompt.tokens;
        throw new SkeinError(
          'invalid-request',
          `token ${outside} is outside the model's vocabulary of ${tokenizer.vocabularySize}`,
        );
      }
      case 'text':
        this.#assertMayFit(prompt.text);
        return tokenizer.encode(prompt.text, { addSpecial: true, parseSpecial: true });
      case 'chat': {
        if (chatTemplate === undefined) {
          throw new SkeinError('invalid-request', 'this model has no chat template; use plain completions');
        }
        const text = chatTemplate.render(prompt.messages);
        this.#assertMayFit(text);
        const { bos } = tokenizer.specialTexts();
        return tokenizer.encode(text, { addSpecial: bos === '' || !text.startsWith(bos), parseSpecial: true });
      }
    }
  }

  /** Tokenizing takes seconds for a megabyte, during which nobody else is served: refuse first what can't fit anyhow. */
  #assertMayFit(text: string): void {
    const { contextTokens } = this.#options;
    const leastTokens = this.#components.tokenizer.leastTokens(text);
    if (leastTokens <= contextTokens) return;
    throw new SkeinError(
      'context-length-exceeded',
      `the prompt has more than ${leastTokens} tokens where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
    );
  }

  /** Most tokens to generate: what was asked for, or an equal share of the context, in the room behind the prompt. */
  #completionLimit(promptTokens: number, maxTokens: number | undefined): number {
    const { contextTokens, sequences } = this.#options;
    const room = contextTokens - promptTokens;
    if (room < 1) {
      throw new SkeinError(
        'context-length-exceeded',
        `the prompt has ${promptTokens} tokens where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
      );
    }
    const share = Math.max(Math.floor(contextTokens / sequences) - promptTokens, minUnaskedTokens);
    return Math.min(maxTokens ?? share, room);
  }
}

/** Returns the cost of a sequence; of none, when the answer was complete at once, zeros. */
function costOf(sequence: Sequence | undefined): SequenceCost {
  const { cachedTokens = 0, draftedTokens = 0, acceptedTokens = 0, request } = sequence ?? {};
  // What another lead had generated is in the cache, too, where this one resumes it a second time.
  return { cachedTokens: Math.min(cachedTokens, request?.prompt.length ?? 0), draftedTokens, acceptedTokens };
}

/** Completion tokens kept for a request that names no number, however long its prompt is. */
const minUnaskedTokens = 256;
