import type { Sampling } from '@skein/protocol';

import type { ContextPointer, Libllama, SamplerPointer } from '../libllama/libllama.ts';
import { drawSeed } from './draw-seed.ts';

/** Draws tokens from the logits of a context's last micro-batch, through llama.cpp's sampler chain. */
export class Sampler {
  readonly #library: Libllama;
  readonly #context: ContextPointer;
  readonly #greedy: SamplerPointer;

  constructor(library: Libllama, context: ContextPointer) {
    this.#library = library;
    this.#context = context;
    this.#greedy = this.#chain([library.samplerGreedy()]);
  }

  /**
   * @param row index of the row in the micro-batch
   * @param position that the drawn token will have in its sequence
   */
  draw(row: number, position: number, sampling: Sampling): number {
    const library = this.#library;
    if (sampling.temperature === 0) return library.samplerSample(this.#greedy, this.#context, row);
    // A chain per draw keeps no state between tokens, which is what makes a draw a function of (seed, position).
    const chain = this.#chain([
      library.samplerTopK(sampling.topK),
      library.samplerTopP(sampling.topP, 1),
      library.samplerMinP(sampling.minP, 1),
      library.samplerTemperature(sampling.temperature),
      library.samplerDistribution(drawSeed(sampling.seed, position)),
    ]);
    try {
      return library.samplerSample(chain, this.#context, row);
    } finally {
      library.samplerFree(chain);
    }
  }

  [Symbol.dispose](): void {
    this.#library.samplerFree(this.#greedy);
  }

  /** The chain owns its samplers and frees them with itself. */
  #chain(samplers: readonly SamplerPointer[]): SamplerPointer {
    const chain = this.#library.samplerChainNew({ no_perf: true });
    for (const sampler of samplers) this.#library.samplerChainAdd(chain, sampler);
    return chain;
  }
}
