import type { Readable } from 'node:stream';

import { SkeinError } from '@skein/protocol';

/**
 * Returns a signal that aborts when standard input ends: its other end was the parent's, which is gone, however it
 * ended. For processes that must not outlive the one that started them.
 */
export function parentLifeline(stdin: Readable & { unref?: () => unknown }): AbortSignal {
  const controller = new AbortController();
  const end = () => controller.abort(new SkeinError('aborted', 'the process that started this one is gone'));
  stdin.once('end', end).once('close', end).once('error', end);
  stdin.resume();
  // Watching must not keep a process running that has given up by itself.
  stdin.unref?.();
  return controller.signal;
}
