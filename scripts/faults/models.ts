import { join } from 'node:path';

import { echoModel, shortestEchoPrompt, writeEchoModel, type EchoModel } from '../fixtures/echo-model.ts';
import type { Random } from '../fixtures/random.ts';
import type { KnownRequest } from './request.ts';

/** A model of the run, and its desired deployment. */
export interface RunModel {
  readonly name: string;
  readonly path: string;
  /** Name of the peer that holds it; the others get the sections that they lack from there. */
  readonly holder: string;
  readonly echo: EchoModel;
  /** Number of stages of each replica. */
  readonly stages: number;
  readonly replicas: number;
}

/** Writes two models: one to split over two peers, and one of which two peers have a replica each. */
export async function writeModels(directory: string): Promise<readonly RunModel[]> {
  const plans = [
    { name: 'split', holder: 'attic', stages: 2, replicas: 1, seed: 1 },
    { name: 'replicated', holder: 'study', stages: 1, replicas: 2, seed: 2 },
  ];
  return await Promise.all(
    plans.map(async ({ seed, ...plan }) => {
      const path = join(directory, `${plan.name}.gguf`);
      await writeEchoModel(path, { seed });
      return { ...plan, path, echo: echoModel({ seed }) };
    }),
  );
}

const mostPromptTokens = 100;

/**
 * Draws a request for `maxTokens` tokens of answer. Its prompt differs from all others', so that no answer could be
 * another's.
 */
export function drawRequest(model: RunModel, random: Random, maxTokens: number): KnownRequest {
  const { symbols, answer } = model.echo;
  const length = shortestEchoPrompt + Math.floor(random.uniform() * (mostPromptTokens - shortestEchoPrompt));
  const prompt = Array.from({ length }, () => {
    const symbol = symbols[Math.floor(random.uniform() * symbols.length)];
    if (symbol === undefined) throw new Error('a model without symbols');
    return symbol;
  });
  // The model is as sure at any temperature: both ways of drawing are to give the same text.
  const temperature = random.uniform() < 0.5 ? 0 : 1;
  return { model: model.name, prompt, maxTokens, temperature, expected: answer(prompt, maxTokens) };
}
