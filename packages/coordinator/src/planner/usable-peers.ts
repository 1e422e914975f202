import type { Card, Hardware } from '@skein/protocol';

/** A peer that can hold a stage. */
export interface UsablePeer {
  readonly peer: string;
  readonly name: string;
  /** Bytes that a stage may take on it. */
  readonly freeBytes: number;
  /** Whether it holds the whole model, so that nothing needs to be fetched. */
  readonly holdsModel: boolean;
  /** Whether it serves a replica of the model, or a part of one, already. */
  readonly servesModel: boolean;
}

export interface UsablePeersOptions {
  readonly model: string;
  /** Bytes by peer id that stages still loading will take; cards do not show them yet. */
  readonly reservedBytes: ReadonlyMap<string, number>;
}

/** The peers that can serve, most free memory first; on a tie holders of the model first, then by peer id. */
export function usablePeers(cards: readonly Card[], { model, reservedBytes }: UsablePeersOptions): UsablePeer[] {
  return cards
    .flatMap(({ peer, name, roles, hardware, models, stages }): UsablePeer[] => {
      if (hardware === undefined || !roles.includes('peer')) return [];
      const freeBytes = Math.max(0, capacityBytes(hardware) - (reservedBytes.get(peer) ?? 0));
      const holdsModel = models.some((held) => held.model === model);
      const servesModel = stages.some((stage) => stage.model === model);
      return [{ peer, name, freeBytes, holdsModel, servesModel }];
    })
    .sort(
      (first, second) =>
        second.freeBytes - first.freeBytes ||
        Number(second.holdsModel) - Number(first.holdsModel) ||
        (first.peer < second.peer ? -1 : 1),
    );
}

/**
 * A GPU with more free memory than the machine takes the stage whole. Both are not added up: on machines with unified
 * memory they are the same bytes, and on others a plan that needs the last byte of each would not survive a browser tab.
 */
function capacityBytes({ backend, freeMemoryBytes, gpus }: Hardware): number {
  if (backend === 'cpu') return freeMemoryBytes;
  return Math.max(freeMemoryBytes, ...gpus.map((gpu) => gpu.freeMemoryBytes));
}
