import type { Coordinator } from '@skein/client';
import { SkeinError, type Card, type DaemonStatus } from '@skein/protocol';

import { askStatus, openLocalCoordinator } from '../control/control-client.ts';
import { notCoordinating } from '../daemon/not-coordinating.ts';

interface DaemonPlace {
  readonly directory: string;
  readonly controlPath: string;
}

/**
 * Returns the status of the daemon of this data directory.
 *
 * @throws SkeinError `not-running` when there is none
 */
export async function localDaemon({ directory, controlPath }: DaemonPlace): Promise<DaemonStatus> {
  const status = await askStatus(controlPath);
  if (status !== undefined) return status;
  throw notRunning(directory);
}

/** Makes the error `not-running`, with the fixes. */
export function notRunning(directory: string): SkeinError {
  return new SkeinError(
    'not-running',
    `Skein does not run in ${directory}; start it with \`skein up\`, join a mesh with \`skein join <invite>\`, or name its directory with --data`,
  );
}

/**
 * Returns the coordinator of this machine, and the mesh as its daemon sees it.
 *
 * @throws SkeinError `not-running` when no daemon runs, or it does not coordinate
 */
export async function localCoordinator(
  place: DaemonPlace,
): Promise<{ readonly coordinator: Coordinator; readonly cards: readonly Card[] }> {
  const { url, cards } = await localDaemon(place);
  if (url === undefined) throw notCoordinating();
  return { coordinator: openLocalCoordinator(place.controlPath), cards };
}
