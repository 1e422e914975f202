import { packPromptInSteps, type GenerationInput, type Prompt } from '@skein/protocol';

import { choicesOf } from './choices.ts';
import { noLimit } from './parameters.ts';
import type { ParseOptions } from './parsed-request.ts';
import { jsonSchemaOf, type ResponseFormat } from './response-format.ts';
import { toSampling, type SamplingParameters } from './sampling.ts';

export interface InputParameters extends SamplingParameters {
  readonly n?: number | undefined;
  readonly stop?: string | readonly string[] | undefined;
  readonly response_format?: ResponseFormat | undefined;
  readonly speculation?: boolean | undefined;
}

/** A checked request in the engine's terms, once for each choice. Throws `request-too-large`. */
export async function toInputs(
  parameters: InputParameters,
  more: {
    prompt: Prompt;
    /** {@link noLimit}, like undefined, leaves it to the engine. */
    maxTokens: number | undefined;
    logprobs: number | undefined;
  },
  { randomSeed, turns }: ParseOptions,
): Promise<[GenerationInput, ...GenerationInput[]]> {
  const { n, stop, response_format: format, speculation } = parameters;
  const { prompt, maxTokens, logprobs } = more;
  const jsonSchema = jsonSchemaOf(format);
  const input = {
    prompt: await packPromptInSteps(prompt, async () => await turns.next()),
    sampling: toSampling(parameters, { randomSeed, logprobs }),
    stop: toStop(stop),
    ...(maxTokens !== undefined && maxTokens !== noLimit && { maxTokens }),
    ...(jsonSchema !== undefined && { jsonSchema }),
    ...(speculation !== undefined && { speculation }),
  };
  return choicesOf(input, n);
}

function toStop(stop: string | readonly string[] | undefined): string[] {
  const texts = typeof stop === 'string' ? [stop] : (stop ?? []);
  return texts.filter((text) => text !== '');
}
