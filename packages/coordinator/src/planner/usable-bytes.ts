import type { Card } from '@skein/protocol';

/** A stage that this coordinator has put on a peer. Its card may not show it yet. */
export interface PlacedStage {
  readonly peer: string;
  readonly deployment: string;
  readonly stage: number;
  /** Memory that the plan gave it. */
  readonly bytes: number;
  /** Whether it has not taken those bytes yet. */
  readonly isLoading: boolean;
}

/**
 * Bytes that one more stage may take on a peer; undefined when its card tells of no hardware:
 *
 *     min(free now - stages that load, all memory - all stages), and not below 0
 *
 * Free memory alone promises too much: a stage that loads has not taken its bytes yet, mapped weights count as free for
 * as long as it is loaded, and a GPU may have been measured before it was. What the stages leave of all memory alone
 * promises too much where other programs run. The stages are those of the card and those we placed; one that is both
 * counts once, with the larger size.
 *
 * A GPU with more room than the machine takes the stage whole. Both are not added up: on machines with unified memory
 * they are the same bytes, and on others a plan that needs the last byte of each would not survive a browser tab. For the
 * same reason stages count against both: cards do not say in which of the two a stage lies.
 */
export function usableBytes({ peer, hardware, stages }: Card, placed: readonly PlacedStage[]): number | undefined {
  if (hardware === undefined) return undefined;
  const known = new Map<string, { bytes: number; isLoading: boolean }>();
  for (const { deployment, stage, bytes, state } of stages) {
    known.set(`${deployment}/${stage}`, { bytes, isLoading: state === 'loading' });
  }
  for (const { deployment, stage, bytes, isLoading } of placed.filter((one) => one.peer === peer)) {
    const key = `${deployment}/${stage}`;
    known.set(key, { bytes: Math.max(bytes, known.get(key)?.bytes ?? 0), isLoading });
  }
  const all = [...known.values()];
  const allBytes = sumBytes(all);
  const loadingBytes = sumBytes(all.filter(({ isLoading }) => isLoading));
  const left = (memory: { freeMemoryBytes: number; memoryBytes: number }) =>
    Math.max(0, Math.min(memory.freeMemoryBytes - loadingBytes, memory.memoryBytes - allBytes));
  return hardware.backend === 'cpu' ? left(hardware) : Math.max(left(hardware), ...hardware.gpus.map(left));
}

function sumBytes(stages: readonly { readonly bytes: number }[]): number {
  return stages.reduce((sum, { bytes }) => sum + bytes, 0);
}
