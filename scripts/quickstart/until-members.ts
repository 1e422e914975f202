import { setTimeout as delay } from 'node:timers/promises';

import { AdminClient } from '@skein/client';
import { adminRoutes } from '@skein/protocol';

const intervalMs = 100;
const timeoutMs = 60_000;

/** Waits until the coordinator knows these peers with their hardware, and one of them with the model. */
export async function untilMembers(
  url: string,
  expected: { readonly peers: readonly string[]; readonly model: string; readonly signal: AbortSignal },
): Promise<void> {
  const signal = AbortSignal.any([expected.signal, AbortSignal.timeout(timeoutMs)]);
  const client = new AdminClient({ url });
  for (;;) {
    const { cards } = await client.ask(adminRoutes.status, {}, { signal });
    const ready = cards.filter(({ peer, hardware }) => hardware !== undefined && expected.peers.includes(peer));
    const hasModel = ready.some(({ models }) => models.some(({ name }) => name === expected.model));
    if (ready.length === expected.peers.length && hasModel) return;
    await delay(intervalMs, undefined, { signal });
  }
}
