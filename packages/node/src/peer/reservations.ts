import { formatBytes, limits, SkeinError, type Lease } from '@skein/protocol';

/** Memory that is kept free for a stage until the coordinator commits. */
export interface Reservation {
  readonly deployment: string;
  readonly stage: number;
  readonly bytes: number;
  /** The coordinator's lease. Left out by coordinators that know of none. */
  readonly lease?: Lease | undefined;
}

/** Time for which memory is kept for a stage, in milliseconds: a coordinator asks all peers at once and then commits. */
export const reservationMs = 10_000;

interface Kept extends Reservation {
  readonly untilMs: number;
}

/**
 * The memory of one peer that coordinators have reserved for stages. A plan over several peers is all or nothing: memory
 * is reserved on each first, and stages are loaded once all have agreed. A reservation ends by itself after
 * {@link reservationMs} of the peer's own monotonic clock, and when a lease of a greater epoch is accepted: the new
 * holder adopts it by reserving the same again.
 */
export class Reservations {
  readonly #now: () => number;
  readonly #kept = new Map<string, Kept>();

  /** @param now returns milliseconds of a monotonic clock */
  constructor(now: () => number) {
    this.#now = now;
  }

  /** Bytes that are reserved now. */
  get bytes(): number {
    this.#expire();
    return [...this.#kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
  }

  /** Describes what is reserved now, for the peer's card: as many stages as a card may list. */
  describe(): Pick<Reservation, 'deployment' | 'stage' | 'bytes'>[] {
    this.#expire();
    return [...this.#kept.values()]
      .slice(0, limits.maxStages)
      .map(({ deployment, stage, bytes }) => ({ deployment, stage, bytes }));
  }

  /**
   * Reserves memory, in place of an earlier reservation for the same stage.
   *
   * @param roomBytes memory that stages may still take on this machine, reservations not yet counted
   * @throws SkeinError `does-not-fit` where less is left than asked for
   */
  reserve(reservation: Reservation, roomBytes: number): void {
    this.end(reservation);
    const leftBytes = roomBytes - this.bytes;
    if (reservation.bytes > leftBytes) {
      throw new SkeinError(
        'does-not-fit',
        `the stage needs ${formatBytes(reservation.bytes)} where this machine has room for ${formatBytes(Math.max(0, leftBytes))} beside what is reserved; ask for a smaller context, or again in a moment`,
      );
    }
    this.#kept.set(keyOf(reservation), { ...reservation, untilMs: this.#now() + reservationMs });
  }

  /** Ends the reservation for a stage: it is loaded now, or never. Returns its bytes; 0 where there was none. */
  end(stage: Pick<Reservation, 'deployment' | 'stage'>): number {
    this.#expire();
    const bytes = this.#kept.get(keyOf(stage))?.bytes ?? 0;
    this.#kept.delete(keyOf(stage));
    return bytes;
  }

  /** Ends the reservations of other leases than the one that was accepted. */
  accept({ epoch, holder }: Lease): void {
    for (const [key, { lease }] of this.#kept)
      if (lease?.epoch !== epoch || lease.holder !== holder) this.#kept.delete(key);
  }

  #expire(): void {
    const now = this.#now();
    for (const [key, { untilMs }] of this.#kept) if (untilMs <= now) this.#kept.delete(key);
  }
}

function keyOf({ deployment, stage }: Pick<Reservation, 'deployment' | 'stage'>): string {
  return `${deployment}/${stage}`;
}
