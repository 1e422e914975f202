import type { Coordinator } from '@skein/client';
import { SkeinError, type Card, type DaemonStatus } from '@skein/protocol';

import { askStatus, openLocalCoordinator } from '../control/control-client.ts';
import { notCoordinating } from '../daemon/not-coordinating.ts';

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

/** The coordinator of this machine, and the mesh as its daemon sees it. Throws `not-running` when it does not coordinate. */
export async function localCoordinator(
  place: DaemonPlace,
): Promise<{ readonly coordinator: Coordinator; readonly cards: readonly Card[] }> {
  const { url, cards } = await localDaemon(place);
  if (url === undefined) throw notCoordinating();
  return { coordinator: openLocalCoordinator(place.controlPath), cards };
}
