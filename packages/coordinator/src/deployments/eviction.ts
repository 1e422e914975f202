import { formatDuration, isSkeinError, SkeinError, type Card, type Hardware, type HeldStage } from '@skein/protocol';

import type { Placement } from './placement.ts';

/** A replica in whose place another model might be loaded. */
export interface RoomHolder {
  /** Id of its deployment. */
  readonly id: string;
  /** Name of its model. */
  readonly name: string;
  /** The last moment at which anybody asked for the model, in milliseconds of a monotonic clock. */
  readonly usedAtMs: number;
  /**
   * The reason to leave it alone. `pinned`: somebody asked for that. `busy`: requests for its model run or wait. `young`: it
   * has served for less than {@link residenceMs}. Undefined where there is none.
   */
  readonly stays: 'pinned' | 'busy' | 'young' | undefined;
}

/** The way to room for a model: take replicas down, wait until some may be, or none. */
export type Room =
  | { readonly type: 'evict'; readonly ids: readonly string[]; readonly placement: Placement }
  | { readonly type: 'later'; readonly placement: Placement; readonly error: SkeinError }
  | { readonly type: 'none'; readonly error: unknown };

/**
 * Time for which a replica serves before it makes room for another model, in milliseconds: two models that are asked for
 * in turns and fit one at a time would else be loaded all the time.
 */
export const residenceMs = 30_000;
/** Longest time for which a request waits for room that others are about to leave, in milliseconds. */
export const roomWaitMs = 60_000;

/**
 * Looks for room for a deployment that does not fit beside what there is. Of the replicas that may go, the least
 * recently used ones do, as few as are needed; and none does where all of them together would not make it fit.
 *
 * @param failure the reason why there is no room
 * @param fitWithout plans the deployment without some others; undefined where it does not fit then
 */
export function makeRoom(
  name: string,
  failure: SkeinError,
  holders: readonly RoomHolder[],
  fitWithout: (ids: readonly string[]) => Placement | undefined,
): Room {
  const ordered = holders.toSorted((one, other) => one.usedAtMs - other.usedAtMs);
  const free = fewest(
    ordered.filter(({ stays }) => stays === undefined),
    fitWithout,
  );
  if (free !== undefined) return { type: 'evict', ids: free.ids, placement: free.placement };
  const soon = fewest(
    ordered.filter(({ stays }) => stays !== 'pinned'),
    fitWithout,
  );
  if (soon !== undefined) {
    const inTheWay = ordered.filter(({ id, stays }) => soon.ids.includes(id) && stays !== undefined);
    return { type: 'later', placement: soon.placement, error: noRoomYet(name, inTheWay, failure) };
  }
  const all = fewest(ordered, fitWithout);
  if (all === undefined) return { type: 'none', error: failure };
  const pinned = ordered.filter(({ id, stays }) => all.ids.includes(id) && stays === 'pinned');
  return { type: 'none', error: besidePinned(pinned, failure) };
}

/** Returns the fewest replicas, least recently used first, without which a deployment fits; undefined where none suffice. */
function fewest(
  ordered: readonly RoomHolder[],
  fitWithout: (ids: readonly string[]) => Placement | undefined,
): { readonly ids: readonly string[]; readonly placement: Placement } | undefined {
  const all = ordered.map(({ id }) => id);
  let placement = fitWithout(all);
  if (placement === undefined) return undefined;
  // With more room it fits all the sooner: half of the candidates are ruled out at a time, since a plan may take long.
  let [low, high] = [1, all.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    const fits = fitWithout(all.slice(0, middle));
    if (fits === undefined) low = middle + 1;
    else [high, placement] = [middle, fits];
  }
  let ids: readonly string[] = all.slice(0, high);
  // The last one makes it fit; some of those before it may not be needed for that, the most recently used ones first.
  for (const id of ids.slice(0, -1).toReversed()) {
    const fewer = ids.filter((one) => one !== id);
    const other = fitWithout(fewer);
    if (other !== undefined) [ids, placement] = [fewer, other];
  }
  return { ids, placement };
}

/** Makes the reason for which an evicted deployment that somebody asked for waits. */
export function evictedFor(name: string): SkeinError {
  const message = `it made room for ${name}, which was asked for; it is loaded again when somebody asks for it, or when there is room`;
  return new SkeinError('no-peers', message);
}

function noRoomYet(name: string, holders: readonly RoomHolder[], failure: SkeinError): SkeinError {
  const why = holders.map((one) =>
    one.stays === 'busy'
      ? `${one.name} has requests`
      : `${one.name} was loaded less than ${formatDuration(residenceMs)} ago`,
  );
  return new SkeinError(
    'no-peers',
    `there is no room for ${name} yet: ${[...new Set(why)].join(', and ')}; ask again in a moment`,
    { cause: failure, details: { param: 'model', retryAfterSeconds: residenceMs / 1000 } },
  );
}

function besidePinned(pinned: readonly RoomHolder[], failure: SkeinError): SkeinError {
  const names = [...new Set(pinned.map(({ name }) => name))];
  const [first = ''] = names;
  return new SkeinError(
    failure.code,
    `${failure.message}; it would fit in place of ${names.join(' and ')}, pinned there: deploy ${first} again without --pin, or undeploy it`,
    { cause: failure, details: failure.details },
  );
}

/** Tells whether a failure to place a deployment is for want of memory. */
export function isForRoom(failure: unknown): failure is SkeinError {
  return isSkeinError(failure) && failure.code === 'does-not-fit';
}

/**
 * Returns cards as they will be without some deployments. The memory of their stages counts as free then, up to all memory: of
 * weights that are mapped rather than read it counts as free already.
 */
export function cardsWithout(cards: readonly Card[], ids: ReadonlySet<string>): readonly Card[] {
  return cards.map((card) => {
    const going = card.stages.filter(({ deployment }) => ids.has(deployment));
    if (going.length === 0) return card;
    const { hardware } = card;
    const stages = card.stages.filter(({ deployment }) => !ids.has(deployment));
    return { ...card, stages, ...(hardware !== undefined && { hardware: relieved(hardware, going) }) };
  });
}

function relieved(hardware: Hardware, going: readonly HeldStage[]): Hardware {
  const loaded = going.filter(({ state }) => state !== 'loading');
  const onGpus = loaded.flatMap(({ placement }) => placement?.devices ?? []);
  const gpuBytes = sumOf(onGpus, ({ bytes }) => bytes);
  const isShared = hardware.gpus.some(({ sharesMainMemory }) => sharesMainMemory === true);
  const mainBytes = sumOf(loaded, ({ bytes }) => bytes) - (isShared ? 0 : gpuBytes);
  // Of two GPUs of one name a stage does not say which one it lies on: each gets its share.
  const namesakes = (name: string) => hardware.gpus.filter((gpu) => gpu.name === name).length;
  return {
    ...hardware,
    freeMemoryBytes: Math.min(hardware.memoryBytes, hardware.freeMemoryBytes + Math.max(0, mainBytes)),
    gpus: hardware.gpus.map((gpu) => {
      const bytes =
        sumOf(
          onGpus.filter(({ name }) => name === gpu.name),
          (one) => one.bytes,
        ) / namesakes(gpu.name);
      return { ...gpu, freeMemoryBytes: Math.min(gpu.memoryBytes, gpu.freeMemoryBytes + bytes) };
    }),
  };
}

function sumOf<Item>(items: readonly Item[], amountOf: (item: Item) => number): number {
  return items.reduce((sum, item) => sum + amountOf(item), 0);
}
