import { setTimeout as delay } from 'node:timers/promises';

import type { DaemonStatus } from '@skein/protocol';

import { askStatus } from '../../packages/cli/src/control/control-client.ts';
import { controlSocketPath } from '../../packages/cli/src/control/socket-path.ts';
import { deploymentsOf, type DeploymentView } from '../../packages/cli/src/overview/deployments.ts';
import { placerOf, type PlacerView } from '../../packages/cli/src/overview/placer.ts';
import type { Machine } from '../../scripts/quickstart/skein-command.ts';

/** Time between two looks, in milliseconds. */
const intervalMs = 50;

/**
 * Returns what a machine's daemon sees, as `skein status` does; undefined when none runs. Starts no process: for waits,
 * which ask again and again.
 */
export async function daemonStatusOf({ data }: Machine): Promise<DaemonStatus | undefined> {
  return await askStatus(await controlSocketPath(data, { platform: process.platform }));
}

/** The deployments of a mesh, as a machine's daemon sees them and `skein status` prints them. */
export interface Placement {
  /** The coordinator that places; undefined while none says so. */
  readonly placer: PlacerView | undefined;
  readonly deployments: readonly DeploymentView[];
  /** Deployments that can't be placed yet; undefined where the machine does not coordinate. */
  readonly waiting: DaemonStatus['waiting'];
}

/** Returns what a machine's daemon sees of deployments; undefined when it does not answer. Starts no process. */
export async function placementSeenBy(machine: Machine): Promise<Placement | undefined> {
  // It may just be starting.
  const status = await daemonStatusOf(machine).catch(() => undefined);
  if (status === undefined) return undefined;
  const { cards, waiting } = status;
  return { placer: placerOf(cards), deployments: deploymentsOf(cards), waiting };
}

/** Waits until what a machine's daemon sees is as wanted, and returns it. Throws the signal's reason. */
export async function untilPlaced(
  machine: Machine,
  { isAsWanted, signal }: { readonly isAsWanted: (seen: Placement) => boolean; readonly signal: AbortSignal },
): Promise<Placement> {
  for (;;) {
    const seen = await placementSeenBy(machine);
    if (seen !== undefined && isAsWanted(seen)) return seen;
    await delay(intervalMs, undefined, { signal });
  }
}
