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

/** Longest wait for a lead to read, in milliseconds: it waits for all others first, and a long prompt takes its time. */
const timeoutMs = 120_000;

export interface ReadAlongOptions {
  /** Id of the request in logs and records. */
  readonly id: string;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Has a lead read a text into its cache that another lead generates. Resolves when it has.
 *
 * @throws SkeinError the lead's own error; `peer-lost` when it can't be reached, does not know the method or goes away;
 * `aborted` when the signal aborts; `deadline-exceeded` after two minutes; `protocol-violation` when the lead breaks the
 * protocol
 */
export async function readAlong(
  mesh: Pick<Mesh, 'open'>,
  { deployment, lead }: Route,
  { prompt, ...reading }: ReadAlongInput,
  { id, signal: caller }: ReadAlongOptions,
): Promise<void> {
  using watchdog = new Watchdog(caller);
  watchdog.expect(timeoutMs, 'the text was not read along');
  const { signal } = watchdog;
  try {
    const stream = await mesh.open(lead, methods.readAlong, { signal });
    using _abort = onAbort(signal, () => stream.abort());
    try {
      const header = { type: 'read-along', request: id, deployment, prompt: prompt.type, ...reading };
      await stream.write(header, prompt.bytes, { signal });
      const frame = await stream.read({ signal });
      if (frame === undefined) throw new SkeinError('peer-lost', 'the lead stopped before it had read the text');
      const event = parseHeader(readAlongEventSchema, frame.header);
      if (event.type === 'generation-error') throw fromWireError(event.error);
    } finally {
      stream.abort();
    }
  } catch (error) {
    throwIfAborted(signal);
    throw error;
  }
}
