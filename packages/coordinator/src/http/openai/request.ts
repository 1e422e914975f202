import { packPromptInSteps, SkeinError, textOf, type GenerationInput, type Prompt } from '@skein/protocol';

import type { Priority } from '../../admission/index.ts';
import type { Turns } from '../turns.ts';
import { noLimit, type ResumeParameter } from './parameters.ts';
import { jsonSchemaOf, type ResponseFormat } from './response-format.ts';
import { toSampling, type SamplingParameters } from './sampling.ts';

/** A request to one of the OpenAI endpoints, checked and in Skein's terms. */
export interface ParsedRequest {
  /** Name of the model as the client spelled it; answers repeat it. */
  readonly model: string;
  /** Inputs, one for each choice; they differ in their seeds alone. */
  readonly inputs: readonly [GenerationInput, ...GenerationInput[]];
  /** Characters of all messages together, or tokens where the prompt came as such. */
  readonly promptSize: number;
  /** Estimate of the tokens of its prompt. */
  readonly promptTokens: number;
  readonly priority: Priority;
  readonly stream: boolean;
  /** Whether a stream ends with a chunk that holds the usage. */
  readonly includeUsage: boolean;
}

export interface ParseOptions {
  /** Turns of the event loop, for work that takes more than one. */
  readonly turns: Turns;
  /** Draws a seed, an unsigned 32 bit integer, for a request without one. */
  readonly randomSeed: () => number;
}

/** Characters of a token, about: English has some four. */
const charactersPerToken = 4;

interface InputParameters extends SamplingParameters {
  readonly n?: number | undefined;
  readonly stop?: string | readonly string[] | undefined;
  readonly response_format?: ResponseFormat | undefined;
  readonly speculation?: boolean | undefined;
  readonly skein_resume?: ResumeParameter | undefined;
}

/** The facts of a checked request that both endpoints have, under OpenAI's names. */
interface CheckedRequest extends InputParameters {
  readonly model: string;
  readonly stream?: boolean | undefined;
  readonly stream_options?: { readonly include_usage?: boolean | undefined } | undefined;
  readonly service_tier?: unknown;
}

/** The facts that each endpoint finds in its own parameters. */
interface EndpointInput {
  readonly prompt: Prompt;
  /** {@link noLimit}, like undefined, leaves it to the engine. */
  readonly maxTokens: number | undefined;
  readonly logprobs: number | undefined;
}

/**
 * Makes the parsed request of a checked body.
 *
 * @throws SkeinError as {@link toInputs} does
 */
export async function toParsedRequest(
  request: CheckedRequest,
  input: EndpointInput,
  options: ParseOptions,
): Promise<ParsedRequest> {
  const { model, stream = false, stream_options, service_tier: tier } = request;
  const size = promptSize(input.prompt);
  return {
    model,
    inputs: await toInputs(request, input, options),
    promptSize: size,
    promptTokens: input.prompt.type === 'tokens' ? size : Math.ceil(size / charactersPerToken),
    // OpenAI's cheap tier for work that can wait.
    priority: tier === 'flex' ? 'batch' : 'interactive',
    stream,
    includeUsage: stream_options?.include_usage ?? false,
  };
}

/**
 * Turns a checked request into the engine's terms, once for each choice.
 *
 * @throws SkeinError `request-too-large` for a prompt over the limit; `invalid-request` for sampling that the engine
 * refuses
 */
async function toInputs(
  parameters: InputParameters,
  { prompt, maxTokens, logprobs }: EndpointInput,
  { randomSeed, turns }: ParseOptions,
): Promise<[GenerationInput, ...GenerationInput[]]> {
  const { n, stop, response_format: format, speculation, skein_resume: resumed } = parameters;
  const jsonSchema = jsonSchemaOf(format);
  const input = {
    prompt: await packPromptInSteps(prompt, async () => await turns.next()),
    sampling: toSampling(parameters, { randomSeed, logprobs }),
    stop: toStop(stop),
    ...(maxTokens !== undefined && maxTokens !== noLimit && { maxTokens }),
    ...(jsonSchema !== undefined && { jsonSchema }),
    ...(speculation !== undefined && { speculation }),
    ...(resumed !== undefined && resumeOf(resumed)),
  };
  return choicesOf(input, n);
}

function resumeOf({ askedAt, mu, tokens, ...resume }: ResumeParameter): Pick<GenerationInput, 'resume' | 'askedAt'> {
  return { askedAt, resume: { ...resume, tokens: [...tokens], ...(mu !== undefined && { mu }) } };
}

function toStop(stop: string | readonly string[] | undefined): string[] {
  const texts = typeof stop === 'string' ? [stop] : (stop ?? []);
  return texts.filter((text) => text !== '');
}

/** Makes the inputs of so many choices: the first is the given one, the others draw from seeds that follow from its seed. */
function choicesOf(input: GenerationInput, count = 1): [GenerationInput, ...GenerationInput[]] {
  const { sampling } = input;
  const others = Array.from({ length: count - 1 }, (_, index) => ({
    ...input,
    sampling: { ...sampling, seed: choiceSeed(sampling.seed, index + 1) },
  }));
  return [input, ...others];
}

/**
 * Returns the seed of a choice, an unsigned 32 bit integer. It is mixed (MurmurHash3's finalizer), because the engine
 * takes seeds and positions together: with neighbouring seeds one choice would draw at one position as another one does
 * at the next.
 */
export function choiceSeed(seed: number, choice: number): number {
  let mixed = (seed + Math.imul(choice, 0x9e37_79b9)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}

/** Returns the length of a prompt: characters of all messages together, or tokens where it came as such. */
function promptSize(prompt: Prompt): number {
  switch (prompt.type) {
    case 'chat':
      return prompt.messages.reduce((sum, message) => sum + textOf(message).length, 0);
    case 'text':
      return prompt.text.length;
    case 'tokens':
      return prompt.tokens.length;
  }
}

/**
 * Checks that token ids fit the largest context of a model's replicas: a million of them need not be sent to find that
 * out. Only the lead knows how many tokens a text has.
 *
 * @param contextTokens undefined when the model is not deployed
 * @throws SkeinError `context-length-exceeded` when they do not fit
 */
export function assertFitsContext(promptTokens: number, contextTokens: number | undefined): void {
  if (contextTokens === undefined || promptTokens < contextTokens) return;
  throw new SkeinError(
    'context-length-exceeded',
    `the prompt has ${promptTokens} tokens where the context holds ${contextTokens}; shorten it or deploy with a larger context`,
    { details: { param: 'prompt' } },
  );
}
