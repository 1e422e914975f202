import { throwIfAborted, Watchdog, type Mesh } from '@skein/mesh';
import {
  fromWireError,
  methods,
  onAbort,
  parseHeader,
  readAlongEventSchema,
  SkeinError,
  type ReadAlongInput,
} from '@skein/protocol';

import type { Route } from '../routing/route.ts';

/**
 * Longest wait for a sign of a lead, in milliseconds: it waits for all others first, and says every ten seconds that it
 * reads. Leads of before give no sign until a text has been read.
 */
const timeoutMs = 120_000;

export interface ReadAlongOptions {
  /** Id of the request in logs and records. */
  readonly id: string;
  readonly signal?: AbortSignal | undefined;
  /** Called when the lead begins to read, with the number of tokens that were in its cache before. */
  readonly onBegin?: ((cachedTokens: number) => void) | undefined;
  /** Called every ten seconds or so when the lead has read on, in this text or in one that comes before it. */
  readonly onProgress?: (() => void) | undefined;
}

/**
 * Has a lead read a text into its cache that another lead generates. Resolves when it has.
 *
 * @throws SkeinError the lead's own error; `peer-lost` when it can't be reached, does not know the method or goes away;
 * `aborted` when the signal aborts; `deadline-exceeded` after two minutes without a sign of it, and what it has read by then
 * it keeps; `protocol-violation` when the lead breaks the protocol
 */
export async function readAlong(
  mesh: Pick<Mesh, 'open'>,
  { deployment, lead }: Route,
  { prompt, ...reading }: Omit<ReadAlongInput, 'hearsProgress'>,
  { id, signal: caller, onBegin, onProgress }: ReadAlongOptions,
): Promise<void> {
  using watchdog = new Watchdog(caller);
  const expect = (): void => watchdog.expect(timeoutMs, 'the text was not read along');
  expect();
  const { signal } = watchdog;
  try {
    const stream = await mesh.open(lead, methods.readAlong, { signal });
    using _abort = onAbort(signal, () => stream.abort());
    try {
      const hears = { hearsProgress: true };
      const header = { type: 'read-along', request: id, deployment, prompt: prompt.type, ...reading, ...hears };
      await stream.write(header, prompt.bytes, { signal });
      for (;;) {
        const frame = await stream.read({ signal });
        if (frame === undefined) throw new SkeinError('peer-lost', 'the lead stopped before it had read the text');
        const event = parseHeader(readAlongEventSchema, frame.header);
        if (event.type === 'read-along-end') return;
        if (event.type === 'generation-error') throw fromWireError(event.error);
        expect();
        if (event.type === 'read-along-begin') onBegin?.(event.cachedTokens);
        else onProgress?.();
      }
    } finally {
      stream.abort();
    }
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}
