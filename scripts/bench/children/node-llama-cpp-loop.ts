import { getLlama, type Token } from 'node-llama-cpp';

import { newTokens } from '../prompts.ts';
import { engineArguments, serveCommands } from './commands.ts';

/** node-llama-cpp's own API with a whole model, one thread and one sequence. */
const { path, contextTokens } = engineArguments();
const llama = await getLlama({ gpu: false, build: 'never', maxThreads: 1 });
const model = await llama.loadModel({ modelPath: path });
const context = await model.createContext({ contextSize: contextTokens, threads: 1 });
const sequence = context.getSequence();

await serveCommands(async (command) => {
  await sequence.clearHistory();
  const prompt = newTokens(command.type === 'decode' ? command.promptTokens : command.tokens) as Token[];
  const wanted = command.type === 'decode' ? command.tokens : 1;
  let startedMs = performance.now();
  let tokens = 0;
  for await (const _ of sequence.evaluate(prompt, { temperature: 0, yieldEogToken: true })) {
    // The first token ends the prompt's time.
    if (tokens === 0 && command.type === 'decode') startedMs = performance.now();
    tokens += 1;
    if (tokens > wanted) break;
    if (command.type === 'prefill') break;
  }
  const milliseconds = performance.now() - startedMs;
  return command.type === 'decode' ? { tokens: tokens - 1, milliseconds } : { tokens: prompt.length, milliseconds };
});
