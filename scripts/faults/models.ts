import { join } from 'node:path';

import { writeTinyModel } from '../fixtures/tiny-models.ts';

/** A model of the run, and its desired deployment. */
export interface RunModel {
  readonly name: string;
  readonly path: string;
  /** Names of the peers that hold it; the others get the sections that they lack from there. */
  readonly holders: readonly string[];
  /** Number of stages of each replica. */
  readonly stages: number;
  readonly replicas: number;
}

/** Writes two models: one to split over two peers, and one of which two peers have a replica each. */
export async function writeModels(directory: string): Promise<readonly RunModel[]> {
  const plans = [
    { name: 'split', holders: ['attic', 'cellar'], stages: 2, replicas: 1, seed: 1 },
    { name: 'replicated', holders: ['study', 'attic'], stages: 1, replicas: 2, seed: 2 },
  ];
  return await Promise.all(
    plans.map(async ({ seed, ...plan }) => {
      const path = join(directory, `${plan.name}.gguf`);
      // Quantized weights are multiplied alike, however many rows there are at once: answers can be compared (decision 6).
      await writeTinyModel('llama', path, { seed, weights: 'q8_0' });
      return { ...plan, path };
    }),
  );
}
