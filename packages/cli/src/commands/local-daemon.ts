import { SkeinError } from '@skein/protocol';

import { askStatus } from '../control/control-client.ts';
import type { DaemonStatus } from '../control/messages.ts';

interface DaemonPlace {
  readonly directory: string;
  readonly controlPath: string;
}

/** What the daemon of this data directory says of itself. Throws `not-running` when there is none. */
export async function localDaemon({ directory, controlPath }: DaemonPlace): Promise<DaemonStatus> {
  const status = await askStatus(controlPath);
  if (status !== undefined) return status;
  throw notRunning(directory);
}

/** `not-running`, with what helps. */
export function notRunning(directory: string): SkeinError {
  return new SkeinError(
    'not-running',
    `Skein does not run in ${directory}; start it with \`skein up\`, join a mesh with \`skein join <invite>\`, or name its directory with --data`,
  );
}

/** A daemon that coordinates, and where its API is. Throws `not-running` when this machine does not coordinate. */
export async function localCoordinator(place: DaemonPlace): Promise<DaemonStatus & { readonly url: string }> {
  const status = await localDaemon(place);
  const { url } = status;
  if (url !== undefined) return { ...status, url };
  throw new SkeinError('not-running', 'this machine does not coordinate; run this on the machine that ran `skein up`');
}
