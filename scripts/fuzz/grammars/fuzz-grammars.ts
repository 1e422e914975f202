import { readFileSync } from 'node:fs';

import {
  check,
  isSkeinError,
  packPrompt,
  plannedSpecSchema,
  samplingSchema,
  silentLogger,
  SkeinError,
  type GenerationEvent,
  type Sampling,
} from '@skein/protocol';

import { EngineProcess } from '../../../packages/node/src/engine/process/engine-process.ts';
import { eventsIn } from '../../../packages/node/src/engine/process/test-support/events-in.ts';
import { withJsonSchema } from '../../../packages/node/src/engine/json-schema/index.ts';
import { libraryDirectory } from '../../../packages/node/src/hardware/backend.ts';
import { createManifest } from '../../../packages/node/src/stage-file/index.ts';
import { tinyModelFile } from '../../cluster/models.ts';
import { seededRandom, seedOf } from '../../fixtures/random.ts';
import { Drawing } from './drawing.ts';
import { drawGrammar, grammarKinds } from './random-grammar.ts';
import { drawSchema } from './random-schema.ts';

/** Longest time that an engine may compute between two signs of life, in milliseconds. */
export const longestStallMs = 1000;
/** Inputs between two checks that the engine still answers as it did at first. */
const inputsPerCheck = 250;
const shareOfSchemas = 0.25;
const shareOfMutated = 0.35;
const mostFailures = 5;

export interface GrammarFuzzReport {
  readonly inputs: number;
  /** Number of inputs that texts were generated with. Beside it: those that were refused, before or during that. */
  readonly followed: number;
  readonly refused: number;
  /** Longest time that the engine computed without a sign of life, in milliseconds. Beside it: the input at fault. */
  readonly longestMs: number;
  readonly longestInput: string;
  /** Greatest resident memory of an engine; undefined where the system does not tell. */
  readonly peakMebibytes: number | undefined;
  /** Undesired results, each with its input. */
  readonly failures: readonly string[];
}

export interface GrammarFuzzOptions {
  readonly inputs: number;
  /** Seed of the inputs. Each is a function of the seed and its number. */
  readonly seed: number;
  /** Number of the first input. Default 0. */
  readonly first?: number;
  readonly onProgress?: (report: GrammarFuzzReport) => void;
}

interface Input {
  readonly name: string;
  readonly grammar?: string;
  readonly jsonSchema?: string;
  readonly maxTokens: number;
}

/** Gives grammars and JSON schemas that nobody would write to the sampler of a real engine, one after another. */
export async function fuzzGrammars({
  inputs,
  seed,
  first = 0,
  onProgress,
}: GrammarFuzzOptions): Promise<GrammarFuzzReport> {
  await using model = await tinyModelFile();
  let report: GrammarFuzzReport = {
    inputs: 0,
    followed: 0,
    refused: 0,
    longestMs: 0,
    longestInput: '',
    peakMebibytes: undefined,
    failures: [],
  };
  while (report.inputs < inputs && report.failures.length < mostFailures) {
    await using engine = await FuzzedEngine.start(model.path);
    // An engine that has failed is replaced.
    for (let isWell = true; isWell && report.inputs < inputs;) {
      const input = drawInput(seed, first + report.inputs);
      const { failure, isFollowed, longestMs } = await engine.take(input);
      const isDue = (report.inputs + 1) % inputsPerCheck === 0 || report.inputs + 1 === inputs;
      const problem = failure ?? (isDue ? await engine.differs() : undefined);
      isWell = problem === undefined;
      report = {
        inputs: report.inputs + 1,
        followed: report.followed + Number(isFollowed),
        refused: report.refused + Number(!isFollowed),
        ...(longestMs > report.longestMs
          ? { longestMs, longestInput: input.name }
          : { longestMs: report.longestMs, longestInput: report.longestInput }),
        peakMebibytes: engine.peakMebibytes() ?? report.peakMebibytes,
        failures: problem === undefined ? report.failures : [...report.failures, `${input.name}: ${problem}`],
      };
      if (isDue) onProgress?.(report);
    }
  }
  return report;
}

/** Makes an input: the same for the same seed and number. */
export function drawInput(seed: number, number: number): Input {
  const draw = new Drawing(seededRandom(seedOf(`${seed}:${number}`)));
  const isMutated = draw.happens(shareOfMutated);
  const kind = draw.happens(shareOfSchemas) ? 'schema' : draw.one(grammarKinds);
  const name = `input ${number} of seed ${seed} (${kind}${isMutated ? ', mutated' : ''})`;
  const maxTokens = draw.one([2, 4, 8, 40]);
  if (kind === 'schema') return { name, jsonSchema: drawSchema(draw, { isMutated }), maxTokens };
  return { name, grammar: drawGrammar(draw, kind, { isMutated }), maxTokens };
}

class FuzzedEngine implements AsyncDisposable {
  readonly #engine: EngineProcess;
  #reference = '';

  private constructor(engine: EngineProcess) {
    this.#engine = engine;
  }

  static async start(file: string): Promise<FuzzedEngine> {
    const { manifest } = await createManifest({ file, name: 'tiny' });
    const engine = await EngineProcess.start({
      logger: silentLogger,
      load: {
        libraryDirectory: await libraryDirectory('cpu'),
        file,
        stage: 0,
        stages: 1,
        layers: manifest.shape.layers,
        cacheBytes: 0,
        hiddenTensor: 'l_out',
        hiddenSize: manifest.shape.hiddenSize,
        spec: plannedSpecSchema.parse({ model: manifest.model, contextTokens: 512, sequences: 2 }),
        swapTokens: 0,
        threads: 1,
      },
    });
    const fuzzed = new FuzzedEngine(engine);
    fuzzed.#reference = await fuzzed.#plainText();
    return fuzzed;
  }

  /** Generates with an input. Any result but a text or a refusal of the request is a failure. */
  async take(input: Input): Promise<{ isFollowed: boolean; longestMs: number; failure?: string }> {
    let longestMs = 0;
    let isFollowed = true;
    let failure: string | undefined;
    let signAt = this.#computedMs();
    const onSign = (): void => {
      const now = this.#computedMs();
      longestMs = Math.max(longestMs, now - signAt);
      signAt = now;
    };
    try {
      const sampling = samplingOf(input);
      signAt = this.#computedMs();
      for await (const _ of this.#generate(sampling, input.maxTokens)) onSign();
    } catch (error) {
      onSign();
      isFollowed = false;
      if (!isSkeinError(error) || error.code !== 'invalid-request') failure = String(error);
    }
    if (this.#engine.lost.aborted) failure = `the engine is gone: ${String(this.#engine.lost.reason)}`;
    if (longestMs > longestStallMs) failure ??= `the engine computed for ${Math.round(longestMs)} ms without a sign`;
    return { isFollowed, longestMs, ...(failure === undefined ? {} : { failure }) };
  }

  /** Returns the difference when the engine does not answer as it did at first; undefined when it does. */
  async differs(): Promise<string | undefined> {
    try {
      return (await this.#plainText()) === this.#reference ? undefined : 'the engine answers others differently since';
    } catch (error) {
      return `the engine answers nobody any more: ${String(error)}`;
    }
  }

  /** Returns the greatest resident memory so far, where the system tells. */
  peakMebibytes(): number | undefined {
    const kibibytes = /^VmHWM:\s+(\d+) kB$/m.exec(this.#processFile('status') ?? '')?.[1];
    return kibibytes === undefined ? undefined : Math.round(Number(kibibytes) / 1024);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#engine.stop();
  }

  async #plainText(): Promise<string> {
    const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 0 };
    const events = await Array.fromAsync(this.#generate(sampling, 24));
    return events.map((event) => (event.type === 'text-delta' ? event.text : '')).join('');
  }

  #generate(sampling: Sampling, maxTokens: number): AsyncGenerator<GenerationEvent> {
    const prompt = packPrompt({ type: 'text', text: 'once upon a time' });
    return eventsIn(this.#engine.generate({ prompt, sampling, maxTokens, stop: [] }));
  }

  /**
   * Returns the processor time that the engine has used, which excludes others on the machine; elsewhere than on Linux,
   * the time itself.
   */
  #computedMs(): number {
    const fields = this.#processFile('stat')?.split(') ').at(-1)?.split(' ');
    const ticksPerSecond = 100;
    if (fields === undefined) return performance.now();
    return ((Number(fields[11]) + Number(fields[12])) / ticksPerSecond) * 1000;
  }

  #processFile(name: string): string | undefined {
    try {
      return readFileSync(`/proc/${this.#engine.pid}/${name}`, 'utf8');
    } catch {
      return undefined;
    }
  }
}

function samplingOf({ grammar, jsonSchema }: Input): Sampling {
  const sampling: Sampling = { temperature: 1.5, topP: 1, topK: 0, minP: 0, seed: 1 };
  if (jsonSchema !== undefined) return withJsonSchema(sampling, jsonSchema);
  // As it is checked wherever a request comes in.
  return grammar === undefined ? sampling : asRequested({ ...sampling, grammar });
}

function asRequested(sampling: Sampling): Sampling {
  const checked = check(samplingSchema, sampling);
  if (checked.ok) return checked.data;
  throw new SkeinError('invalid-request', checked.problem);
}
