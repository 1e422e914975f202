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

/** A peer that can hold a stage. */
export interface UsablePeer {
  readonly peer: string;
  readonly name: string;
  /** Bytes that a stage may take on it, rounded down by up to 6 %. */
  readonly freeBytes: number;
  /** Speed of decoding, see {@link peerSpeed}. */
  readonly speed: number;
  /** Whether it holds the whole model, so that nothing needs to be fetched. */
  readonly holdsModel: boolean;
  /** Whether it serves a replica of the model, or a part of one, already. */
  readonly servesModel: boolean;
}

export interface UsablePeersOptions {
  readonly model: string;
  /** Stages that the coordinator has put on peers. */
  readonly placed: readonly PlacedStage[];
}

/** Lists the peers that can serve, most free memory first; on a tie holders of the model first, then by peer id. */
export function usablePeers(cards: readonly Card[], { model, placed }: UsablePeersOptions): UsablePeer[] {
  return cards
    .flatMap((card): UsablePeer[] => {
      const { peer, name, roles, models, stages } = card;
      const exactBytes = usableBytes(card, placed);
      if (exactBytes === undefined || !roles.includes('peer')) return [];
      const freeBytes = steady(exactBytes);
      const holdsModel = models.some((held) => held.model === model);
      const servesModel = stages.some((stage) => stage.model === model);
      return [{ peer, name, freeBytes, speed: peerSpeed(card), holdsModel, servesModel }];
    })
    .sort(
      (first, second) =>
        second.freeBytes - first.freeBytes ||
        Number(second.holdsModel) - Number(first.holdsModel) ||
        (first.peer < second.peer ? -1 : 1),
    );
}

/**
 * Rounds down to a sixteenth of the power of two below: free memory changes all the time, and layers that followed it
 * would be cut and fetched again at every deployment.
 */
function steady(bytes: number): number {
  if (bytes < 1) return 0;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes)) - 4, 0);
  return Math.floor(bytes / step) * step;
}

/**
 * Bytes that one more stage may take on a peer; undefined when its card tells of no hardware:
 *
 *     min(free now - stages that load, all memory - all stages), and not below 0
 *
 * Free memory alone promises too much: a stage that loads has not taken its bytes yet, mapped weights count as free for
 * as long as it is loaded, and a GPU may have been measured before it was. All memory less the stages
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

/**
 * Returns a peer's speed of decoding, in bytes of weights a second; only ratios matter. Nothing is measured yet: all
 * are equal.
 */
function peerSpeed(_card: Card): number {
  return 1;
}
