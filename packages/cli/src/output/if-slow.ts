import type { Writable } from 'node:stream';

import { printLine } from '../program/context.ts';

/** Time after which a command says why it takes so long, in milliseconds. */
const slowMs = 10_000;

/** Says on stderr what a command is still doing, if that takes ten seconds. Dispose it when that is done. */
export function ifSlow(stderr: Writable, text: string): Disposable {
  const timer = setTimeout(() => printLine(stderr, text), slowMs);
  return { [Symbol.dispose]: () => clearTimeout(timer) };
}

/** Explanation of a search for GPUs that takes long. */
export const slowSearch = 'still looking for GPUs: this machine is slow or busy, or a driver hangs';
