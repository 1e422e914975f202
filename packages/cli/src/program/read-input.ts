import { untilAborted } from '@skein/mesh';
import { formatBytes, SkeinError } from '@skein/protocol';

import type { CommandContext } from './context.ts';

/**
 * Reads standard input to its end, or until Ctrl-C, as UTF-8. Unread input does not keep the process alive.
 *
 * @throws SkeinError `invalid-request` for more than `maxBytes`, before it keeps them; the signal's reason when that
 * aborts
 */
export async function readInput(
  { stdin, signal }: Pick<CommandContext, 'stdin' | 'signal'>,
  { maxBytes }: { readonly maxBytes: number },
): Promise<string> {
  const read = async (): Promise<string> => {
    const chunks: Buffer[] = [];
    let bytes = 0;
    for await (const chunk of stdin) {
      const taken = Buffer.from(chunk as Uint8Array | string);
      bytes += taken.byteLength;
      if (bytes > maxBytes) {
        throw new SkeinError('invalid-request', `standard input has more than ${formatBytes(maxBytes)}; pipe in less`);
      }
      chunks.push(taken);
    }
    return Buffer.concat(chunks).toString('utf8');
  };
  return await untilAborted(read(), signal).finally(() => stdin.destroy());
}
