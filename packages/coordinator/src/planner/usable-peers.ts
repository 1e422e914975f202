import { memoryRoom, microBatchRows, takenBy, type Card, type Hardware, type MemoryRoom } from '@skein/protocol';

/** A stage that this coordinator has put on a peer. Its card may not show it yet. */
export interface PlacedStage {
  readonly peer: string;
  readonly deployment: string;
  /** SHA-256. */
  readonly model: string;
  readonly stage: number;
  /** Memory that the plan gave it. */
  readonly bytes: number;
}

/** A peer that can hold a stage. */
export interface UsablePeer {
  readonly peer: string;
  readonly name: string;
  /** Bytes that a stage may take on it, rounded down by up to 6 %. */
  readonly freeBytes: number;
  /** Bytes of them in the memory of GPUs, where a stage computes fast. 0 where there is none. */
  readonly gpuBytes: number;
  /** Bytes of them in main memory, where experts may lie beside GPUs. */
  readonly mainBytes: number;
  /** Whether its GPUs share main memory, so that what leaves the one leaves the other no room. */
  readonly sharesMemory: boolean;
  readonly hardware: Hardware;
  /** Whether it holds the whole model, so that nothing needs to be fetched. */
  readonly holdsModel: boolean;
  /** Rows of the largest micro-batch that suits its processor or GPU. */
  readonly microBatchRows: number;
  /** Number of stages of the model that it serves or loads already. */
  readonly servedStages: number;
}

export interface UsablePeersOptions {
  readonly model: string;
  /** Stages that the coordinator has put on peers. */
  readonly placed: readonly PlacedStage[];
}

/** Lists the peers that can serve and are not drained, most free memory first; on a tie holders of the model first, then by peer id. */
export function usablePeers(cards: readonly Card[], { model, placed }: UsablePeersOptions): UsablePeer[] {
  return cards
    .flatMap((card): UsablePeer[] => {
      const { peer, name, roles, models, stages } = card;
      const room = roomOn(card, placed);
      const { hardware } = card;
      if (room === undefined || hardware === undefined || !roles.includes('peer') || card.draining === true) return [];
      const freeBytes = steady(room.bytes);
      const gpuBytes = steady(gpuRoom(card, room));
      const mainBytes = steady(room.mainBytes);
      const sharesMemory = hardware.gpus.some((gpu) => gpu.sharesMainMemory === true);
      const holdsModel = models.some((held) => held.model === model);
      const servedStages = countStages([...stages, ...placed.filter((one) => one.peer === peer)], model);
      const rows = hardware.backend === 'cpu' ? microBatchRows.cpu : microBatchRows.gpu;
      const memory = { freeBytes, gpuBytes, mainBytes, sharesMemory };
      return [{ peer, name, ...memory, hardware, holdsModel, microBatchRows: rows, servedStages }];
    })
    .sort(byFreeMemory);
}

/** Returns the peers with GPUs as a plan sees them that lies in the memory of GPUs alone, most of it free first. */
export function gpuPeers(peers: readonly UsablePeer[]): readonly UsablePeer[] {
  return peers
    .filter(({ gpuBytes }) => gpuBytes > 0)
    .map((peer) => ({ ...peer, freeBytes: peer.gpuBytes }))
    .sort(byFreeMemory);
}

/** Counts the stages of a model: one that its card shows and that we placed counts once. */
function countStages(stages: readonly Pick<PlacedStage, 'deployment' | 'model' | 'stage'>[], model: string): number {
  const served = stages.filter((one) => one.model === model);
  return new Set(served.map(({ deployment, stage }) => `${deployment}/${stage}`)).size;
}

function byFreeMemory(first: UsablePeer, second: UsablePeer): number {
  return (
    second.freeBytes - first.freeBytes ||
    Number(second.holdsModel) - Number(first.holdsModel) ||
    (first.peer < second.peer ? -1 : 1)
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
 * Returns the room for one more stage on a peer; undefined when its card tells of no hardware. The stages that it holds
 * are those of the card, those that placements, ours and others', have reserved memory for, and those we placed; one that
 * is several of them counts once, with the largest size. One that the card does not show as loaded has yet to take its memory:
 * what the card says of free memory is as old as what it says of stages.
 */
export function roomOn(
  { peer, hardware, stages, reserved = [] }: Card,
  placed: readonly PlacedStage[],
): MemoryRoom | undefined {
  if (hardware === undefined) return undefined;
  const known = new Map(stages.map((held) => [`${held.deployment}/${held.stage}`, takenBy(held)]));
  for (const { deployment, stage, bytes } of [...reserved, ...placed.filter((one) => one.peer === peer)]) {
    const key = `${deployment}/${stage}`;
    const shown = known.get(key);
    known.set(key, { isLoading: true, ...shown, bytes: Math.max(bytes, shown?.bytes ?? 0) });
  }
  return memoryRoom(hardware, [...known.values()]);
}

/**
 * Returns the room on a peer's GPUs. Integrated GPUs do not count: their memory is main memory, and hardly faster. On
 * Apple silicon, where it is the same bytes too, it is fast.
 */
function gpuRoom({ hardware }: Card, { deviceBytes }: MemoryRoom): number {
  const isIntegrated = hardware?.gpus.some(({ sharesMainMemory }) => sharesMainMemory) === true;
  return isIntegrated && hardware?.backend !== 'metal' ? 0 : deviceBytes;
}
