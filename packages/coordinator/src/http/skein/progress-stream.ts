import type { DeploymentStatus } from '../../deployments/index.ts';
import type { EventSink } from '../event-stream/index.ts';

/**
 * Follows a deployment: `{ deployment }` on changes, the last one `ready`. Throws why it failed. A slow reader misses states
 * in between, never the latest.
 */
export async function sendProgress(
  sink: EventSink,
  deploy: (onProgress: (status: DeploymentStatus) => void) => Promise<DeploymentStatus>,
): Promise<void> {
  let latest: DeploymentStatus | undefined;
  let changed = Promise.withResolvers<false>();
  const job = deploy((status) => {
    latest = status;
    changed.resolve(false);
  });
  const isOver = job.then(
    () => true,
    () => true,
  );
  while (!(await Promise.race([isOver, changed.promise]))) {
    changed = Promise.withResolvers<false>();
    if (latest !== undefined) sink.send({ deployment: latest });
    await sink.behind;
  }
  sink.send({ deployment: await job });
}
