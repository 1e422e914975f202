/** Runs one attack in a thread of its own: an attacker's work must not hold up the client whose waiting is measured. */
import { parentPort, workerData } from 'node:worker_threads';

import { httpAttacks } from './cases/index.ts';
import type { HttpTarget } from './http-attack.ts';

const { name, target } = workerData as { readonly name: string; readonly target: HttpTarget };
const attack = httpAttacks.find((one) => one.name === name);
if (attack === undefined) throw new Error(`there is no attack ${name}`);
try {
  await attack.run(target);
  parentPort?.postMessage(undefined, []);
} catch (error) {
  parentPort?.postMessage(error instanceof Error ? error.message : String(error), []);
}
