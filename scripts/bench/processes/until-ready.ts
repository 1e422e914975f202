import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';

import type { PinnedProcess } from './pinned-process.ts';

const intervalMs = 50;
const timeoutMs = 120_000;

/**
 * Asks again and again until the answer is yes.
 *
 * @throws Error when the process ends, and after two minutes
 */
export async function untilReady(
  { failure }: Pick<PinnedProcess, 'failure'>,
  { isReady, signal }: { readonly isReady: () => Promise<boolean>; readonly signal: AbortSignal },
): Promise<void> {
  const inTime = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]);
  const ask = async () => {
    while (!(await isReady())) await delay(intervalMs, undefined, { signal: inTime });
  };
  await Promise.race([ask(), failure]);
}

/** Tells whether anybody listens on a port of the loopback interface. */
export async function isListening(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
