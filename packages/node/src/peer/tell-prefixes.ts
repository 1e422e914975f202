import { pause, type FrameStream } from '@skein/mesh';
import { packDigests, prefixLimits, SkeinError, type PrefixesEvent } from '@skein/protocol';

import type { HeldPrefixes } from './held-prefixes.ts';

/** Time for which changes are gathered into one message, in milliseconds. */
const gatherMs = 100;

/**
 * Tells a router of the prefixes that a lead holds, until the signal aborts or the router is gone.
 *
 * @throws SkeinError `not-running` where no coordinator has given a key yet
 */
export async function tellPrefixes(stream: FrameStream, prefixes: HeldPrefixes, signal: AbortSignal): Promise<void> {
  const { key } = prefixes;
  if (key === undefined)
    throw new SkeinError('not-running', 'no coordinator has given this lead a key for digests yet');
  await stream.write({ type: 'prefixes-begin', key } satisfies PrefixesEvent, undefined, { signal });
  using following = prefixes.follow();
  while (!signal.aborted) {
    // The heartbeat is a change of nothing.
    const changed = new AbortController();
    void following.changed().then(() => changed.abort());
    await pause(prefixLimits.heartbeatMs, AbortSignal.any([signal, changed.signal]));
    if (signal.aborted) return;
    const delta = following.take();
    const { added, removed } = delta;
    const event: PrefixesEvent = { type: 'prefixes-change', added: added.length, removed: removed.length };
    await stream.write(event, packDigests(delta), { signal });
    await pause(gatherMs, signal);
  }
}
