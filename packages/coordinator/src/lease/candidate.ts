import {
  claimedLease,
  compareLeases,
  greaterLease,
  maxEpoch,
  mostBelievableEpoch,
  type Card,
  type Lease,
} from '@skein/protocol';

import { orderSuccessors, type Successor } from './successors.ts';

/** The parts of another member's card that leases depend on. */
export type LeaseCard = Pick<Card, 'peer' | 'roles' | 'lease' | 'fence' | 'joinedAt'>;

/** The mesh as a candidate sees it at one moment. */
export interface LeaseView {
  /** Cards of the other members that are present. */
  readonly cards: readonly LeaseCard[];
  /** Whether members are missing that this one has reason to expect, just after its start. */
  readonly isGathering: boolean;
  /** Peer id of the machine with the authority, as the authority has signed it. Left out where it is not known. */
  readonly authority?: string | undefined;
}

export interface CandidateOptions {
  /** This coordinator, as its own card and certificate describe it. */
  readonly self: Successor;
  /** The lease that this coordinator has written down last; undefined where there is none. */
  readonly saved?: Lease | undefined;
  readonly times?: Partial<LeaseTimes> | undefined;
}

/** Times of leases, in milliseconds of a monotonic clock. */
export interface LeaseTimes {
  /** Longest time for which a starter listens before it takes over: it waits for members that it expects. Default 5,000. */
  readonly listenMs: number;
  /** The r-th successor waits r times as long for those before it. Default 1,000. */
  readonly turnMs: number;
  /**
   * Longest time between two looks of a holder: after a longer one it was frozen, others may have taken over, and it
   * listens first. Default 5,000: a busy machine is not frozen.
   */
  readonly leaseMs: number;
  /** Time for which it listens then: others' cards have to come anew. Default 2,000. */
  readonly thawMs: number;
  /**
   * Time for which others are believed that see a holder which this coordinator has lost. Default 6,000: where they do see
   * it, its signed card comes by way of them every five seconds at most, and it is not lost any more.
   */
  readonly trustMs: number;
  /** Pause after a lease that the disk did not take. Default 5,000: by then others have had their turns. */
  readonly retryMs: number;
}

const defaultTimes: LeaseTimes = {
  listenMs: 5000,
  turnMs: 1000,
  leaseMs: 5000,
  thawMs: 2000,
  trustMs: 6000,
  retryMs: 5000,
};

/**
 * The part that a candidate plays. `listening`: it has started, or was frozen, and hears what there is. `following`: somebody else
 * places, or is to. `writing`: it takes over as soon as the lease is on the disk. `holding`: it places.
 */
type State =
  | {
      readonly name: 'listening';
      readonly untilMs: number;
      readonly before: Lease | undefined;
      readonly isStart: boolean;
    }
  | { readonly name: 'following' }
  | {
      readonly name: 'writing';
      readonly lease: Lease;
      /** The lesser lease that it held; it goes on with that where the disk does not take the greater. */
      readonly before: Lease | undefined;
      /** End of a freeze that it slept through. */
      readonly thawedAtMs?: number;
    }
  | { readonly name: 'holding'; readonly lease: Lease };

/**
 * A coordinator's part in the question who places. A state machine that calls nobody: its driver has it look at the mesh
 * a few times a second and whenever a card changes, writes down the lease that it returns, and reports the outcome. Time
 * comes in, from a monotonic clock; no timestamp of another machine counts.
 *
 * There is no quorum, since two machines must do. The incumbent stays while it lives. Successors have an order and wait
 * for their turns; each takes an epoch above all that it has heard of, which is on its disk before it is used. Two that
 * place at once, as on the two sides of a cut, only waste work, since peers obey the greatest epoch alone; once they see
 * each other, the lesser lease ends.
 */
export class Candidate {
  readonly #self: Successor;
  readonly #times: LeaseTimes;
  #state: State | undefined;
  /** The greatest lease heard of, whoever told it. */
  #known: Lease | undefined;
  /** The greatest lease for which a peer has refused ours, or would. */
  #contested: Lease | undefined;
  /** Time since which the holder was neither seen by us nor, as far as we believe it, by others. */
  #unseenSinceMs: number | undefined;
  /** Time since which it was not seen by us. */
  #lostSinceMs: number | undefined;
  #lookedAtMs = -Infinity;
  #notBeforeMs = -Infinity;

  constructor({ self, saved, times }: CandidateOptions) {
    this.#self = self;
    this.#times = { ...defaultTimes, ...times };
    this.#known = saved;
  }

  /** The greatest lease that it knows of. Its holder may be gone. */
  get known(): Lease | undefined {
    return this.#known;
  }

  /** Returns its own lease while it may place by it; undefined as soon as it has not looked for too long. */
  held(nowMs: number): Lease | undefined {
    if (nowMs - this.#lookedAtMs > this.#times.leaseMs || this.#state?.name === 'listening') return undefined;
    return this.tenure;
  }

  /**
   * The lease that it holds, or held until it was frozen and may go on with. It is over only where another one has taken
   * over.
   */
  get tenure(): Lease | undefined {
    switch (this.#state?.name) {
      case 'holding':
        return this.#state.lease;
      case 'listening':
      case 'writing':
        return this.#state.before;
      default:
        return undefined;
    }
  }

  /**
   * Looks at the mesh. Returns a lease when it is to take over: write that down, and call {@link written} or
   * {@link notWritten}; until then it only listens.
   */
  look(nowMs: number, view: LeaseView): Lease | undefined {
    const { listenMs, thawMs, leaseMs } = this.#times;
    const pauseMs = nowMs - this.#lookedAtMs;
    this.#lookedAtMs = nowMs;
    this.#state ??= { name: 'listening', untilMs: nowMs + listenMs, before: undefined, isStart: true };
    if (pauseMs > leaseMs && Number.isFinite(pauseMs)) {
      if (this.#state.name === 'writing') this.#state = { ...this.#state, thawedAtMs: nowMs };
      else this.#listen(nowMs + thawMs, this.#state.name === 'holding' ? this.#state.lease : undefined);
    }
    this.#hear(view);
    switch (this.#state.name) {
      case 'listening':
        if (nowMs < this.#state.untilMs && (view.isGathering || !this.#state.isStart)) return undefined;
        return this.#endListening(nowMs, view, this.#state.before);
      case 'following':
        return this.#follow(nowMs, view);
      case 'holding':
        return this.#hold(nowMs, view, this.#state.lease);
      case 'writing':
        return undefined;
    }
  }

  /** Notes that a lease which {@link look} has returned is on the disk. It holds then, unless a greater one has come up. */
  written(lease: Lease): void {
    if (this.#state?.name !== 'writing') return;
    const outranked = this.#known !== undefined && compareLeases(this.#known, lease) > 0;
    this.#known = greaterLease(this.#known, lease);
    const { thawedAtMs } = this.#state;
    if (outranked) return this.#enterFollowing();
    if (thawedAtMs !== undefined) return this.#listen(thawedAtMs + this.#times.thawMs, lease);
    this.#state = { name: 'holding', lease };
  }

  /** Notes that the disk did not take a lease. It does not take over, and tries again later. */
  notWritten(nowMs: number): void {
    if (this.#state?.name !== 'writing') return;
    const { before } = this.#state;
    if (before === undefined) this.#enterFollowing();
    else this.#state = { name: 'holding', lease: before };
    this.#notBeforeMs = nowMs + this.#times.retryMs;
  }

  /** Notes that a peer has refused a command because of a lease that it had accepted before. */
  refused(accepted: Lease): void {
    const most = mostBelievableEpoch(this.#known, []);
    this.#learn(accepted, most);
    this.#contest(accepted, most);
  }

  #hear({ cards }: LeaseView): void {
    const most = mostBelievableEpoch(this.#known, cards);
    for (const card of cards) {
      const claimed = claimedLease(card);
      for (const told of [claimed, card.lease, card.fence]) if (told !== undefined) this.#learn(told, most);
      if (card.fence !== undefined) this.#contest(card.fence, most);
    }
  }

  #learn({ epoch, holder }: Lease, most: number): void {
    if (epoch <= most) this.#known = greaterLease(this.#known, { epoch, holder });
  }

  #contest(accepted: Lease, most: number): void {
    if (accepted.holder !== this.#self.peer && accepted.epoch <= most)
      this.#contested = greaterEpoch(this.#contested, accepted);
  }

  #listen(untilMs: number, before: Lease | undefined): void {
    this.#state = { name: 'listening', untilMs, before, isStart: false };
  }

  #endListening(nowMs: number, view: LeaseView, before: Lease | undefined): Lease | undefined {
    if (before !== undefined && this.#known !== undefined && compareLeases(before, this.#known) >= 0) {
      this.#state = { name: 'holding', lease: before };
      return this.#hold(nowMs, view, before);
    }
    this.#enterFollowing();
    return this.#follow(nowMs, view);
  }

  #enterFollowing(): void {
    this.#state = { name: 'following' };
    this.#unseenSinceMs = undefined;
    this.#lostSinceMs = undefined;
  }

  #follow(nowMs: number, view: LeaseView): Lease | undefined {
    const { turnMs, listenMs, trustMs } = this.#times;
    const known = this.#known;
    const { peer } = this.#self;
    const holder = view.cards.find((card) => card.peer === known?.holder && card.roles.includes('coordinator'));
    if (known !== undefined && holder !== undefined && isSame(claimedLease(holder), known)) {
      this.#unseenSinceMs = undefined;
      this.#lostSinceMs = undefined;
      return undefined;
    }
    this.#lostSinceMs ??= nowMs;
    const isBelieved = nowMs - this.#lostSinceMs < trustMs;
    if (isBelieved && known !== undefined && known.holder !== peer && isSeenByOthers(view, known)) {
      this.#unseenSinceMs = undefined;
      return undefined;
    }
    this.#unseenSinceMs ??= nowMs;
    // A holder that is there and holds nothing has just started, and is about to go on.
    const extraMs = holder === undefined ? 0 : listenMs;
    const turns = this.#turns(view, known);
    const waitedMs = nowMs - this.#unseenSinceMs;
    if (nowMs < this.#notBeforeMs || waitedMs < turns * turnMs + extraMs) return undefined;
    return this.#take();
  }

  /**
   * Returns the turns that it waits for: its place among the coordinators that are there. One less where no holder was
   * lost, so that a mesh that starts need not wait; none for the incumbent itself.
   */
  #turns({ cards, authority }: LeaseView, known: Lease | undefined): number {
    const { peer } = this.#self;
    if (known?.holder === peer) return 0;
    const others = cards.filter((card) => card.roles.includes('coordinator') && card.peer !== known?.holder);
    const order = orderSuccessors([this.#self, ...others], authority);
    const place = order.findIndex((candidate) => candidate.peer === peer);
    return known === undefined ? place : place + 1;
  }

  #hold(nowMs: number, view: LeaseView, lease: Lease): Lease | undefined {
    const known = this.#known ?? lease;
    if (compareLeases(known, lease) > 0 && known.holder !== this.#self.peer) {
      const isClaimed = view.cards.some((card) => isSame(claimedLease(card), known));
      if (isClaimed || isSeenByOthers(view, known)) {
        this.#enterFollowing();
        return undefined;
      }
    }
    // Peers remember a holder that nobody sees any more: a greater epoch is needed to be obeyed by them.
    const isBehind = compareLeases(known, lease) > 0 || (this.#contested?.epoch ?? 0) >= lease.epoch;
    return isBehind && nowMs >= this.#notBeforeMs ? this.#take() : undefined;
  }

  #take(): Lease | undefined {
    const epoch = Math.max(this.#known?.epoch ?? 0, this.#contested?.epoch ?? 0) + 1;
    if (epoch > maxEpoch) return undefined;
    const lease = { epoch, holder: this.#self.peer };
    const before = this.#state?.name === 'holding' ? this.#state.lease : undefined;
    this.#state = { name: 'writing', lease, before };
    return lease;
  }
}

function isSame(one: Lease | undefined, other: Lease): boolean {
  return one !== undefined && compareLeases(one, other) === 0;
}

function greaterEpoch(one: Lease | undefined, other: Lease): Lease {
  return one !== undefined && one.epoch >= other.epoch ? one : other;
}

/** Tells whether another member says that it is connected to the holder of a lease. */
function isSeenByOthers({ cards }: LeaseView, lease: Lease): boolean {
  return cards.some((card) =>
    [card.lease, card.fence].some(
      (told) => told?.isHolderSeen === true && card.peer !== lease.holder && compareLeases(told, lease) === 0,
    ),
  );
}
