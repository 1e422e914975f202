import type { DaemonStatus } from '@skein/protocol';

import { askStatus } from '../../packages/cli/src/control/control-client.ts';
import { controlSocketPath } from '../../packages/cli/src/control/socket-path.ts';
import type { Machine } from '../../scripts/quickstart/skein-command.ts';

/**
 * Returns what a machine's daemon sees, as `skein status` does; undefined when none runs. Starts no process: for waits,
 * which ask again and again.
 */
export async function daemonStatusOf({ data }: Machine): Promise<DaemonStatus | undefined> {
  return await askStatus(await controlSocketPath(data, { platform: process.platform }));
}
