import { asSkeinError, SkeinError, type CacheOperation, type Logprobs, type Sampling } from '@skein/protocol';

import { Tokenizer } from '../../lead/tokenizer.ts';
import type { ContextPointer, Libllama, ModelPointer, SamplerPointer, VocabPointer } from '../../libllama/libllama.ts';
import { Candidates } from './candidates.ts';
import { drawSeed } from './draw-seed.ts';
import { Dry } from './dry.ts';
import { Grammars, type CompiledGrammars, type GrammarState } from './grammar/grammar.ts';
import { logprobsOf } from './logprobs.ts';
import type { TokenTexts } from './restarts.ts';

export interface Drawn {
  readonly token: number;
  /** Log-probabilities, when they were asked for. */
  readonly logprobs?: Logprobs;
  /** Mirostat's state after this token. */
  readonly mu?: number;
}

/** The memory of a sequence between its draws. */
interface SequenceState {
  readonly sampling: Sampling;
  /** Samplers for logit bias and penalties, then DRY, applied before all others. They remember the drawn tokens. */
  readonly remembering: readonly SamplerPointer[];
  readonly dry: Dry | undefined;
  grammar: GrammarState | undefined;
  mu: number | undefined;
  /** Set where the sequence's grammar can't be used: thrown at each draw. */
  failure?: SkeinError;
}

/** Tokens from which Mirostat 1 estimates the distribution's shape: the value of llama.cpp's own tools. */
const mirostatTokens = 100;
/**
 * Temperature below which it counts as 0: logits are divided by it, and beyond the greatest float they all look the
 * same.
 */
const leastTemperature = 1e-4;
/** Bias from which on a token is banned, as in OpenAI's API. */
const banningBias = -100;
/** Constant that turns a draw's seed into another one, for a second random sampler. */
const secondSeed = 0x5bd1_e995;

/**
 * A sampler that draws tokens from the logits of a context's last micro-batch, through llama.cpp's samplers in their
 * usual order.
 *
 * A draw is a function of (seed, position) and of the text before it: its random parts are made anew for each draw,
 * seeded by the position, and its memory of tokens can be rebuilt from them. So a sequence that is replayed on another
 * machine continues as it would have.
 */
export class Sampler {
  readonly #library: Libllama;
  readonly #context: ContextPointer;
  readonly #vocab: VocabPointer;
  readonly #vocabularySize: number;
  readonly #greedy: SamplerPointer;
  readonly #states = new Map<number, SequenceState>();
  readonly #grammars: Grammars;
  readonly #texts: TokenTexts;
  #candidates: Candidates | undefined;

  constructor(library: Libllama, model: ModelPointer, context: ContextPointer, grammars?: CompiledGrammars) {
    this.#library = library;
    this.#context = context;
    this.#vocab = library.modelVocab(model);
    this.#vocabularySize = library.vocabSize(this.#vocab);
    this.#greedy = this.#chain([library.samplerGreedy()]);
    const tokenizer = new Tokenizer(library, model);
    this.#grammars = new Grammars(
      {
        size: this.#vocabularySize,
        piece: (token) => tokenizer.piece(token),
        isEndOfGeneration: (token) => tokenizer.isEndOfGeneration(token),
      },
      grammars,
    );
    this.#texts = {
      piece: (token) => tokenizer.piece(token, { special: true }),
      encode: (text) => tokenizer.encode(text, { addSpecial: false, parseSpecial: false }),
    };
  }

  /**
   * Sets how a sequence's tokens are drawn from now on, and forgets the slot's state. Later draws throw
   * `invalid-request` where the grammar can't be used or does not derive the text so far: that concerns this sequence
   * alone.
   */
  configure(operation: Extract<CacheOperation, { type: 'sample-with' }>): void {
    const { sequence, history = [], generated = 0, mu } = operation;
    const { temperature } = operation.sampling;
    const sampling = { ...operation.sampling, temperature: temperature < leastTemperature ? 0 : temperature };
    this.release(sequence);
    for (const token of history) this.#assertToken(token);
    const [remembering, dry] = [this.#remembering(sampling), this.#dry(sampling)];
    const state: SequenceState = { sampling, remembering, dry, grammar: undefined, mu };
    this.#states.set(sequence, state);
    for (const token of history) this.#accept(state, token);
    if (sampling.grammar === undefined) return;
    try {
      state.grammar = this.#openGrammar(sampling.grammar, generated === 0 ? [] : history.slice(-generated));
    } catch (error) {
      state.failure = asSkeinError(error);
    }
  }

  /** Forgets a sequence's samplers with their memory. */
  release(sequence: number): void {
    const state = this.#states.get(sequence);
    if (state === undefined) return;
    this.#states.delete(sequence);
    for (const sampler of state.remembering) this.#library.samplerFree(sampler);
  }

  /**
   * Draws a token for a sequence, greedily where nothing was configured, and remembers it.
   *
   * @param request.row index of the row in the micro-batch
   * @param request.position position that the drawn token will have in its sequence
   * @throws SkeinError `invalid-request` where the sequence's grammar can't be used; other sequences are not affected
   */
  draw(request: { readonly sequence: number; readonly row: number; readonly position: number }): Drawn {
    const state = this.#states.get(request.sequence);
    if (state === undefined) return { token: this.#sample(this.#greedy, request.row) };
    if (state.failure !== undefined) throw state.failure;
    const { token, mu } = this.#choose(state, request);
    state.mu = mu;
    const { logprobs } = state.sampling;
    return {
      token,
      ...(logprobs === undefined ? {} : { logprobs: logprobsOf(this.#logits(request.row), token, logprobs) }),
      ...(mu === undefined ? {} : { mu }),
    };
  }

  [Symbol.dispose](): void {
    for (const sequence of Array.from(this.#states.keys())) this.release(sequence);
    this.#library.samplerFree(this.#greedy);
  }

  #accept({ remembering, dry }: Pick<SequenceState, 'remembering' | 'dry'>, token: number): void {
    for (const sampler of remembering) this.#library.samplerAccept(sampler, token);
    dry?.accept(token);
  }

  #choose(state: SequenceState, { row, position }: { row: number; position: number }): { token: number; mu?: number } {
    const { sampling, remembering, dry, grammar } = state;
    const needsCandidates =
      remembering.length > 0 || dry !== undefined || grammar !== undefined || sampling.mirostat !== undefined;
    if (!needsCandidates && sampling.temperature === 0) return { token: this.#sample(this.#greedy, row) };
    const seed = drawSeed(sampling.seed, position);
    const chooser = this.#chain(
      sampling.temperature === 0 ? [this.#library.samplerGreedy()] : this.#choosing(sampling, seed, state.mu),
    );
    try {
      if (!needsCandidates) return { token: this.#sample(chooser, row) };
      return this.#chooseFromCandidates(state, this.#logits(row), chooser);
    } finally {
      this.#library.samplerFree(chooser);
    }
  }

  /**
   * Chooses a token. The one chosen without the grammar mostly fits the grammar: all tokens are checked only where it
   * does not.
   */
  #chooseFromCandidates(
    state: SequenceState,
    logits: Float32Array,
    chooser: SamplerPointer,
  ): { token: number; mu?: number } {
    const { grammar, remembering, dry, sampling } = state;
    const candidates = this.#all;
    const penalties = dry?.penalties() ?? [];
    const start = (): void => {
      candidates.fill(logits);
      for (const sampler of remembering) candidates.apply(sampler);
      for (const [token, penalty] of penalties) candidates.penalize(token, penalty);
    };
    start();
    candidates.apply(chooser);
    let { selected } = candidates;
    grammar?.nextToken();
    let after = grammar?.after(selected.token);
    if (grammar !== undefined && after === undefined) {
      start();
      candidates.keep(grammar.allowed());
      // A grammar that no token of this vocabulary goes on with ends the text.
      if (!candidates.isPossible) return { token: Math.max(0, this.#library.vocabEos(this.#vocab)) };
      candidates.apply(chooser);
      ({ selected } = candidates);
      after = grammar.after(selected.token);
    }
    state.grammar = after;
    this.#accept(state, selected.token);
    if (sampling.mirostat === undefined || sampling.temperature === 0) return { token: selected.token };
    const { tau, eta } = sampling.mirostat;
    // Basu et al. 2021, "Mirostat", algorithm 1, line 9: the state follows the error in surprise, in bits.
    const surprise = -Math.log2(selected.probability);
    // Where nothing was possible there is no probability, and nothing to learn.
    const error = Number.isFinite(surprise) ? surprise - tau : 0;
    return { token: selected.token, mu: (state.mu ?? 2 * tau) - eta * error };
  }

  /** Makes the samplers that narrow the candidates down and choose one. They live for one draw. */
  #choosing(sampling: Sampling, seed: number, mu: number | undefined): SamplerPointer[] {
    const library = this.#library;
    const { topK, typicalP, topP, minP, xtc, temperature, mirostat } = sampling;
    if (mirostat !== undefined) {
      // llama.cpp starts Mirostat's state at twice tau, so half of ours starts it where it was.
      const tau = (mu ?? 2 * mirostat.tau) / 2;
      return [
        library.samplerTemperature(temperature),
        mirostat.version === 1
          ? library.samplerMirostat(this.#vocabularySize, seed, tau, mirostat.eta, mirostatTokens)
          : library.samplerMirostat2(seed, tau, mirostat.eta),
      ];
    }
    return [
      library.samplerTopK(topK),
      ...(typicalP === undefined ? [] : [library.samplerTypical(typicalP, 1)]),
      library.samplerTopP(topP, 1),
      library.samplerMinP(minP, 1),
      ...(xtc === undefined ? [] : [library.samplerXtc(xtc.probability, xtc.threshold, 1, (seed ^ secondSeed) >>> 0)]),
      library.samplerTemperature(temperature),
      library.samplerDistribution(seed),
    ];
  }

  /** Makes the samplers that live as long as the sequence. */
  #remembering({ logitBias, penalties }: Sampling): SamplerPointer[] {
    const library = this.#library;
    const samplers: SamplerPointer[] = [];
    if (logitBias !== undefined && logitBias.length > 0) {
      const biases = logitBias.map(({ token, bias }) => ({ token, bias: bias <= banningBias ? -Infinity : bias }));
      samplers.push(library.samplerLogitBias(this.#vocabularySize, biases));
    }
    if (penalties !== undefined) {
      const { repeat, frequency, presence } = penalties;
      const lastTokens = this.#lastTokens(penalties.lastTokens);
      samplers.push(library.samplerPenalties(this.#vocabularySize, lastTokens, repeat, frequency, presence));
    }
    return samplers;
  }

  #dry({ dry }: Sampling): Dry | undefined {
    return dry && new Dry(this.#texts, { ...dry, lastTokens: this.#lastTokens(dry.lastTokens) });
  }

  /** Returns a number of tokens to look back at, at most as many as there can be; negative stands for all. */
  #lastTokens(tokens: number): number {
    const contextTokens = this.#library.contextSize(this.#context);
    return tokens < 0 ? contextTokens : Math.min(tokens, contextTokens);
  }

  #openGrammar(text: string, generated: readonly number[]): GrammarState {
    const state = this.#grammars.open(text, generated);
    if (state !== undefined) return state;
    throw new SkeinError('invalid-request', 'the grammar does not derive the text that was generated so far');
  }

  #assertToken(token: number): void {
    if (token < this.#vocabularySize) return;
    throw new SkeinError('protocol-violation', `token ${token} is outside the vocabulary of ${this.#vocabularySize}`);
  }

  get #all(): Candidates {
    this.#candidates ??= new Candidates(this.#library, this.#vocabularySize);
    return this.#candidates;
  }

  #sample(chain: SamplerPointer, row: number): number {
    return this.#library.samplerSample(chain, this.#context, row);
  }

  #logits(row: number): Float32Array {
    const pointer = this.#library.logits(this.#context, row);
    if (pointer === null) throw new SkeinError('engine-failed', `row ${row} has no logits`);
    return this.#library.readFloats(pointer, this.#vocabularySize);
  }

  /** Chains samplers. The chain owns them and frees them with itself. */
  #chain(samplers: readonly SamplerPointer[]): SamplerPointer {
    const chain = this.#library.samplerChainNew({ no_perf: true });
    for (const sampler of samplers) this.#library.samplerChainAdd(chain, sampler);
    return chain;
  }
}
