import type { DeploymentStatus } from '../../deployments/index.ts';
import { errorBody } from '../error-response.ts';
import type { ServerSentEvent } from '../event-stream.ts';

/**
 * Follows a deployment: `{ deployment }` on changes, the last one `ready`; or `{ error }` as the last event. A failure
 * before the first change is thrown. A slow reader misses states in between, never the latest.
 */
export async function* progressEvents(
  deploy: (onProgress: (status: DeploymentStatus) => void) => Promise<DeploymentStatus>,
  options: { readonly onError: (error: unknown) => void },
): AsyncGenerator<ServerSentEvent, void, undefined> {
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
    if (latest !== undefined) yield { deployment: latest };
  }
  try {
    yield { deployment: await job };
  } catch (error) {
    if (latest === undefined) throw error;
    options.onError(error);
    yield errorBody(error);
  }
}
