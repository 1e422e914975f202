import { setTimeout as delay } from 'node:timers/promises';

import type { DeploymentStatus } from '../../deployments/index.ts';
import type { EventSink } from '../event-stream/index.ts';

/** Clients, Node's `fetch` among them, give up on a stream that says nothing for minutes. */
const repeatMs = 15_000;

/**
 * Follows a change of a deployment: `{ deployment }` on changes, and again when there is none for a while; the last one is
 * what the change ended with. Throws why it failed. A slow reader misses states in between, never the latest.
 */
export async function sendProgress(
  sink: EventSink,
  change: (onProgress: (status: DeploymentStatus) => void) => Promise<DeploymentStatus>,
): Promise<void> {
  let latest: DeploymentStatus | undefined;
  let changed = Promise.withResolvers<false>();
  const job = change((status) => {
    latest = status;
    changed.resolve(false);
  });
  const isOver = job.then(
    () => true,
    () => true,
  );
  while (!(await untilFirst(isOver, changed.promise))) {
    changed = Promise.withResolvers<false>();
    if (latest !== undefined) sink.send({ deployment: latest });
    await sink.behind;
  }
  sink.send({ deployment: await job });
}

/** The first of both, or false after a while. */
async function untilFirst(isOver: Promise<boolean>, changed: Promise<false>): Promise<boolean> {
  const waiting = new AbortController();
  try {
    return await Promise.race([isOver, changed, delay(repeatMs, false, { signal: waiting.signal, ref: false })]);
  } finally {
    waiting.abort();
  }
}
