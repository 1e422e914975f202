import { fileURLToPath } from 'node:url';

import type { LanHost } from './host.ts';
import { JsonLines } from './json-lines.ts';
import type { RelayCommand } from './relay-process.ts';
import type { RelayConditions, RelayOptions } from './relay.ts';

const script = fileURLToPath(new URL('./relay-process.ts', import.meta.url));
const answerTimeoutMs = 20_000;

/** A {@link Relay} that runs in a host. */
export interface LanRelay {
  readonly port: number;
  set(change: Partial<RelayConditions>): Promise<void>;
  cut(): Promise<void>;
  restore(): Promise<void>;
  reset(): Promise<void>;
}

/** Starts a relay in a host. It ends with the LAN. */
export async function startRelay(host: LanHost, options: RelayOptions): Promise<LanRelay> {
  const lines = new JsonLines<{ readonly port: number }>(host.run(process.execPath, [script, JSON.stringify(options)]));
  const answer = async (from: number) =>
    await lines.until(() => true, { from, signal: AbortSignal.timeout(answerTimeoutMs) });
  const { port } = await answer(0);
  let answers = 1;
  const tell = async (command: RelayCommand): Promise<void> => {
    lines.send(command);
    await answer(answers++);
  };
  return {
    port,
    set: async (change) => await tell({ do: 'set', change }),
    cut: async () => await tell({ do: 'cut' }),
    restore: async () => await tell({ do: 'restore' }),
    reset: async () => await tell({ do: 'reset' }),
  };
}
