import { once } from 'node:events';

import type { ChatRequest } from '@skein/client';
import { limits, SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { counted, printableLines } from '../output/format.ts';
import { decimalNumber, jsonObject, repeated, wholeNumber } from '../program/arguments.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { readInput } from '../program/read-input.ts';
import { connectForRun } from './connect-for-run.ts';
import { measured, type Measurement } from './measured.ts';

interface RunFlags {
  readonly model?: string;
  readonly system?: string;
  readonly stages?: number;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly minP?: number;
  readonly repeatPenalty?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly jsonSchema?: object;
  readonly seed?: number;
  readonly stop?: readonly string[];
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein run "Why is the sky blue?"
  $ skein run "Name three rivers." --temperature 0 --max-tokens 64
  $ git diff | skein run - --system "Write a commit message for this diff."
  $ skein run "Hello" --model smollm2-135m-instruct --stages 2    split it over two machines first`;

/** Adds the command `skein run` to the program. */
export function registerRun(program: Command, context: CommandContext): void {
  const command = program
    .command('run')
    .description('Ask a model, and print the answer as it comes.')
    .argument('<prompt>', 'the question; - reads it from standard input, without the line end that it ends with')
    .option('--model <model>', 'whom to ask (default: the one that is deployed)')
    .option('--system <text>', 'what the model is told about its task')
    .option('--stages <count>', 'deploy the model over so many machines first, unless it is', wholeNumber(1, 64))
    .option('--max-tokens <count>', 'longest answer (default: an equal share of the context)', wholeNumber(1))
    .option('--temperature <number>', '0 takes the likeliest token always (default: 0.8)', decimalNumber(0, 2))
    .option(
      '--top-p <share>',
      'keep the likeliest tokens up to this probability (default: 0.95)',
      decimalNumber(0.001, 1),
    )
    .option('--top-k <count>', 'keep this many of the likeliest tokens (default: 40)', wholeNumber(0, 4_000_000))
    .option('--min-p <share>', 'drop tokens below this share of the likeliest (default: 0.05)', decimalNumber(0, 1))
    .option(
      '--repeat-penalty <divisor>',
      'make tokens that were there less likely (default: 1, which does not)',
      decimalNumber(0.1, 10),
    )
    .option('--presence-penalty <number>', 'the same, by a fixed amount (default: 0)', decimalNumber(-2, 2))
    .option('--frequency-penalty <number>', 'the same, for each time (default: 0)', decimalNumber(-2, 2))
    .option('--json-schema <schema>', 'answer with JSON that follows this schema', jsonObject)
    .option('--seed <number>', 'the same seed gives the same answer', wholeNumber(0, 0xffff_ffff))
    .option('--stop <text>', 'end before this text; repeatable', repeated)
    .option('--json', 'print the answer as one JSON object at the end')
    .addHelpText('after', examples)
    .action(async (prompt: string, flags: RunFlags) => await run(command, { ...flags, prompt }, context));
}

async function run(
  command: Command,
  flags: RunFlags & { readonly prompt: string },
  context: CommandContext,
): Promise<void> {
  const { stdout, stderr, signal } = context;
  const data = await findData(command);
  const question = flags.prompt === '-' ? await readPrompt(context) : checkPrompt(flags.prompt, 'the prompt is empty');
  const connected = await connectForRun(data, { model: flags.model, stages: flags.stages }, context);
  await using client = connected.client;
  const answer = measured(client.chat(requestOf(flags, question, connected.model), { signal }));
  if (flags.json !== true) await printPieces(answer.text, context);
  else for await (const _ of answer.text);
  const measurement = await answer.result();
  if (flags.json === true) return printJson(stdout, { ...measurement, model: connected.model });
  printLine(stdout);
  if (stderr.isTTY === true) printLine(stderr, describe(measurement));
}

function requestOf(flags: RunFlags, question: string, model: string | undefined): ChatRequest {
  const { system, maxTokens, temperature, topP, topK, minP, jsonSchema, seed, stop } = flags;
  const messages: ChatRequest['messages'] = [
    ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
    { role: 'user', content: question },
  ];
  return {
    messages,
    ...(model !== undefined && { model }),
    ...(maxTokens !== undefined && { maxTokens }),
    ...(temperature !== undefined && { temperature }),
    ...(topP !== undefined && { topP }),
    ...(topK !== undefined && { topK }),
    ...(minP !== undefined && { minP }),
    ...penaltiesOf(flags),
    ...(jsonSchema !== undefined && { jsonSchema }),
    ...(seed !== undefined && { seed }),
    ...(stop !== undefined && { stop }),
  };
}

function penaltiesOf(flags: RunFlags): Pick<ChatRequest, 'penalties'> {
  const { repeatPenalty: repeat, presencePenalty: presence, frequencyPenalty: frequency } = flags;
  const isAsked = repeat !== undefined || presence !== undefined || frequency !== undefined;
  return isAsked ? { penalties: { repeat, presence, frequency } } : {};
}

/**
 * Reads a prompt from standard input, to its end or until Ctrl-C. One line end at its end is not part of the prompt:
 * `echo` and editors add it, and a model answers otherwise with it.
 *
 * @throws SkeinError `invalid-request` for an empty or too long prompt; the signal's reason when that aborts
 */
export async function readPrompt(context: Pick<CommandContext, 'stdin' | 'signal'>): Promise<string> {
  const piped = await readInput(context, { maxBytes: limits.maxPromptBytes });
  return checkPrompt(piped.replace(/\r?\n$/, ''), 'standard input held no prompt');
}

function checkPrompt(prompt: string, fault: string): string {
  if (prompt.trim() !== '') return prompt;
  throw new SkeinError('invalid-request', `${fault}; ask something, e.g. \`skein run "Why is the sky blue?"\``);
}

/**
 * Prints text as it comes. On a terminal it leaves out characters that could rewrite it: a model may say anything that
 * its prompt or its machine makes it say. Where the text breaks off, its line is ended: the reason follows.
 */
export async function printPieces(
  pieces: AsyncIterable<string>,
  { stdout, signal }: Pick<CommandContext, 'stdout' | 'signal'>,
): Promise<void> {
  let last = '';
  try {
    for await (const piece of pieces) {
      last = piece === '' ? last : piece;
      const shown = stdout.isTTY === true ? printableLines(piece) : piece;
      if (!stdout.write(shown)) await once(stdout, 'drain', { signal });
    }
  } catch (error) {
    if (last !== '' && !last.endsWith('\n')) printLine(stdout);
    throw error;
  }
}

function describe({ usage, tokensPerSecond, ttftMs }: Measurement): string {
  return `${counted(usage.completionTokens, 'token', 'tokens')}, ${tokensPerSecond.toFixed(1)} a second, the first after ${ttftMs} ms`;
}
