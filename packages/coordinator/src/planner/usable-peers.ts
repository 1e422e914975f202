import type { Card } from '@skein/protocol';

import { peerSpeed } from './peer-speed.ts';
import { usableBytes, type PlacedStage } from './usable-bytes.ts';

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
