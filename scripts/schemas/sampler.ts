import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { packPrompt, plannedSpecSchema, silentLogger, type Sampling } from '@skein/protocol';

import { Tokenizer } from '../../packages/node/src/engine/lead/tokenizer.ts';
import { loadLibllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { EngineProcess } from '../../packages/node/src/engine/process/engine-process.ts';
import { eventsIn } from '../../packages/node/src/engine/process/test-support/events-in.ts';
import { libraryDirectory } from '../../packages/node/src/hardware/backend.ts';
import { createManifest } from '../../packages/node/src/stage-file/index.ts';
import { writeTinyModel } from '../fixtures/tiny-models.ts';

/** Most tokens of an answer: longer ones are not finished, and tell nothing. */
const mostTokens = 1500;
const sequences = 4;
/** Biases of tokens that bring an answer to its end; a model with random weights would write strings for ever. */
const endings: readonly (readonly [text: string, bias: number])[] = [
  ['"', 4],
  [']', 2],
  ['}', 2],
];

/**
 * An engine process with a tiny model whose weights are random: under a grammar it may write every text that the
 * grammar allows.
 */
export class AnswerSampler implements AsyncDisposable {
  readonly #engine: EngineProcess;
  readonly #directory: string;
  readonly #logitBias: Sampling['logitBias'];

  private constructor(engine: EngineProcess, directory: string, logitBias: Sampling['logitBias']) {
    this.#engine = engine;
    this.#directory = directory;
    this.#logitBias = logitBias;
  }

  static async start(): Promise<AnswerSampler> {
    const directory = await mkdtemp(join(tmpdir(), 'skein-answers-'));
    const file = join(directory, 'tiny.gguf');
    await writeTinyModel('llama', file);
    const { manifest } = await createManifest({ file, name: 'tiny' });
    const libraries = await libraryDirectory('cpu');
    const { tokenizer } = Tokenizer.open(loadLibllama(libraries), file);
    const logitBias = endings.flatMap(([text, bias]) =>
      tokenizer.encode(text, { addSpecial: false, parseSpecial: false }).map((token) => ({ token, bias })),
    );
    const engine = await EngineProcess.start({
      logger: silentLogger,
      load: {
        libraryDirectory: libraries,
        file,
        stage: 0,
        stages: 1,
        layers: manifest.shape.layers,
        cacheBytes: 0,
        hiddenTensor: 'l_out',
        hiddenSize: manifest.shape.hiddenSize,
        spec: plannedSpecSchema.parse({ model: manifest.model, contextTokens: sequences * 2048, sequences }),
        swapTokens: 0,
        threads: 1,
      },
    });
    return new AnswerSampler(engine, directory, logitBias);
  }

  /** Generates one answer under a grammar; undefined when it did not end by itself. */
  async answer(grammar: string, seed: number): Promise<string | undefined> {
    const sampling = { temperature: 1, topP: 1, topK: 0, minP: 0, seed, grammar, logitBias: this.#logitBias };
    const request = { prompt: packPrompt({ type: 'text', text: 'JSON' }), sampling, maxTokens: mostTokens, stop: [] };
    let text = '';
    for await (const event of eventsIn(this.#engine.generate(request))) {
      if (event.type === 'text-delta') text += event.text;
      if (event.type === 'generation-end') return event.finishReason === 'stop' ? text : undefined;
    }
    return undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine[Symbol.asyncDispose]();
    await rm(this.#directory, { recursive: true });
  }
}
