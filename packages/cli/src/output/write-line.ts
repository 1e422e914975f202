import { once } from 'node:events';

import type { CommandContext } from '../program/context.ts';

/** Prints one of many lines, and waits while the reader is behind. */
export async function writeLine(
  { stdout, signal }: Pick<CommandContext, 'stdout' | 'signal'>,
  text: string,
): Promise<void> {
  if (!stdout.write(`${text}\n`)) await once(stdout, 'drain', { signal });
}
