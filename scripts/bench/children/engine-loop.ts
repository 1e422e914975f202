import { microBatchRows, samplingSchema, type CacheOperation, type StepEntry } from '@skein/protocol';

import { loadLibllama } from '../../../packages/node/src/engine/libllama/libllama.ts';
import { Stage } from '../../../packages/node/src/engine/stage/stage.ts';
import { libraryDirectory } from '../../../packages/node/src/hardware/backend.ts';
import { newTokens } from '../prompts.ts';
import { engineArguments, serveCommands, type EngineResult } from './commands.ts';

/** Skein's own engine with a whole model, one thread, in a plain loop: no pipeline can be faster than its engines. */
const { path, hiddenSize, contextTokens, sequences } = engineArguments();
const batchTokens = microBatchRows.cpu;
const sampling = samplingSchema.parse({ temperature: 0, seed: 0 });
using stage = new Stage(loadLibllama(await libraryDirectory('cpu')), {
  file: path,
  takesHidden: false,
  hiddenSize,
  contextTokens,
  sequences,
  batchTokens,
  threads: 1,
});
await serveCommands((command) =>
  command.type === 'decode' ? decode(command) : prefillOf([{ sequence: 0, tokens: newTokens(command.tokens) }]),
);

function decode(command: { sequences: number; promptTokens: number; tokens: number }): EngineResult {
  let position = command.promptTokens;
  let drawn = Array.from({ length: command.sequences }, (_, sequence) =>
    prefill({ sequence, tokens: newTokens(command.promptTokens) }),
  );
  const startedMs = performance.now();
  for (let step = 0; step < command.tokens; step += 1, position += 1) {
    const entries = drawn.map((_, sequence) => ({ sequence, position, count: 1, sample: true }));
    drawn = run(entries, { tokens: drawn });
  }
  return { tokens: command.sequences * command.tokens, milliseconds: performance.now() - startedMs };
}

interface EnginePrompt {
  readonly sequence: number;
  readonly tokens: readonly number[];
}

function prefillOf(prompts: readonly EnginePrompt[]): EngineResult {
  const startedMs = performance.now();
  for (const prompt of prompts) prefill(prompt);
  const tokens = prompts.reduce((sum, prompt) => sum + prompt.tokens.length, 0);
  return { tokens, milliseconds: performance.now() - startedMs };
}

/** Computes the token after a prompt, which replaces the sequence's content. */
function prefill({ sequence, tokens }: EnginePrompt): number {
  let operations: CacheOperation[] = [
    { type: 'remove', sequence, from: 0 },
    { type: 'sample-with', sequence, sampling },
  ];
  let token: number | undefined;
  for (let position = 0; position < tokens.length; position += batchTokens) {
    const chunk = tokens.slice(position, position + batchTokens);
    const sample = position + chunk.length === tokens.length;
    [token] = run([{ sequence, position, count: chunk.length, sample }], { tokens: chunk, operations });
    operations = [];
  }
  return token ?? 0;
}

/** Runs one micro-batch and returns the tokens that it drew. */
function run(
  entries: StepEntry[],
  { tokens, operations = [] }: { readonly tokens: readonly number[]; readonly operations?: CacheOperation[] },
): number[] {
  const output = stage.run({ type: 'step', step: 0, operations, entries }, { tokens: Int32Array.from(tokens) });
  return 'draws' in output ? output.draws.flatMap((draw) => draw.tokens) : [];
}
