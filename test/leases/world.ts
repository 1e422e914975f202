import { Candidate, type LeaseCard } from '../../packages/coordinator/src/lease/index.ts';
import { LeaseFence } from '../../packages/node/src/peer/lease-fence.ts';
import { Reservations } from '../../packages/node/src/peer/reservations.ts';
import { claimedLease, greaterLease, type KnownLease, type Lease } from '../../packages/protocol/src/index.ts';
import { seededRandom, type Random } from '../../scripts/fixtures/random.ts';
import { EventQueue } from './event-queue.ts';

/** Memory of each peer in the world, in units. */
const roomBytes = 10;
/** Silence after which a member counts as lost, as on a LAN. */
const silenceMs = 1200;
const heartbeatMs = 2000;
const relayMs = 3000;
const cardSilenceMs = 6000;
const lookMs = 250;

export interface WorldOptions {
  readonly seed: number;
  /** Makes the fence of a peer. Default: the real one; a broken one shows that the invariants are checked. */
  readonly createFence?: (
    components: ConstructorParameters<typeof LeaseFence>[0],
  ) => Pick<LeaseFence, 'accepted' | 'admit' | 'assertObeyed'>;
  /** Makes a candidate. Default: the real one. */
  readonly createCandidate?: (options: ConstructorParameters<typeof Candidate>[0]) => Candidate;
}

interface StageModel {
  readonly deployment: string;
  readonly bytes: number;
}

/** A command that a coordinator sends to a peer. */
type Command = { readonly lease: Lease } & (
  | { readonly type: 'attach' | 'unload'; readonly deployment: string }
  | { readonly type: 'reserve' | 'load'; readonly deployment: string; readonly bytes: number }
);

interface CardModel extends LeaseCard {
  readonly version: number;
  readonly stages: readonly StageModel[];
}

interface Heard {
  card: CardModel;
  atMs: number;
  isPresent: boolean;
}

/** The part of a machine that stays when its process is killed. */
interface Disk {
  lease: Lease | undefined;
  fence: Lease | undefined;
  isFull: boolean;
}

/** A running process of a machine. */
interface Running {
  readonly candidate: Candidate | undefined;
  readonly fence: ReturnType<NonNullable<WorldOptions['createFence']>>;
  readonly reservations: Reservations;
  readonly stages: Map<string, StageModel>;
  readonly heard: Map<string, Heard>;
  readonly connected: Set<string>;
  readonly relayedAtMs: Map<string, number>;
  version: number;
  /** A lease under which it has placed, for a placer that does not know that it was replaced. */
  lastHeld: Lease | undefined;
  adoptedEpoch: number;
}

export interface Machine {
  readonly id: string;
  readonly joinedAt: number;
  readonly coordinates: boolean;
  readonly disk: Disk;
  running: Running | undefined;
  isFrozen: boolean;
  /** Events that wait for the end of a freeze. */
  backlog: (() => void)[];
  /** Time for which its monotonic clock stood still: a machine that sleeps. */
  sleptMs: number;
  frozenAtMs: number;
  isAsleep: boolean;
  /** Difference of its wall clock. */
  wallMs: number;
}

/**
 * A simulated mesh in virtual time: machines with disks, a network that is cut and heals, members that notice each other
 * as Skein's do, and on them the real candidates, fences and reservations. One seed is one schedule.
 */
export class World {
  readonly #random: Random;
  readonly machines: Machine[] = [];
  readonly #options: WorldOptions;
  readonly #cuts = new Set<string>();
  readonly #events = new EventQueue();
  /** Per peer, in the order in which they were obeyed. */
  readonly #obeyed = new Map<string, Lease>();
  readonly #accepted = new Map<string, number>();
  /** Per peer, the lease since which it has accepted no other holder. */
  readonly #since = new Map<string, Lease>();
  /** Take-overs, refusals and so on, so that a run that tested nothing shows. */
  readonly counts = { takeOvers: 0, obeyed: 0, refused: 0, deployed: 0, unloaded: 0, adopted: 0, full: 0, restarts: 0 };
  #nowMs = 0;
  #order = 0;
  #deployments = 0;
  #violation: string | undefined;

  constructor(options: WorldOptions) {
    this.#options = options;
    this.#random = seededRandom(options.seed);
    const coordinators = 2 + this.below(2);
    const count = coordinators + 1 + this.below(2);
    for (let index = 0; index < count; index += 1) this.#addMachine(index < coordinators);
    for (const machine of this.machines) this.after(this.below(500), () => this.start(machine));
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Draws a whole number from 0 up to, not including, a bound. */
  below(bound: number): number {
    return Math.floor(this.#random.uniform() * bound);
  }

  after(delayMs: number, run: () => void): void {
    this.#order += 1;
    this.#events.push({ atMs: this.#nowMs + delayMs, order: this.#order, run });
  }

  /** Runs everything that happens until a time. */
  async runUntil(untilMs: number): Promise<void> {
    for (let event = this.#events.peek(); event !== undefined && event.atMs <= untilMs; event = this.#events.peek()) {
      this.#events.pop();
      this.#nowMs = event.atMs;
      event.run();
      await settled();
      if (this.#violation !== undefined) throw new Error(this.#violation);
    }
    this.#nowMs = untilMs;
  }

  cut(one: Machine, other: Machine): void {
    this.#cuts.add(wire(one, other));
    this.#noticeLater(one, other);
  }

  heal(one: Machine, other: Machine): void {
    if (!this.#cuts.delete(wire(one, other))) return;
    this.#meetLater(one, other);
  }

  /** Ends a process as kill -9 does. */
  kill(machine: Machine): void {
    if (machine.running === undefined) return;
    machine.running = undefined;
    machine.isFrozen = false;
    machine.backlog = [];
    for (const other of this.machines) this.#noticeLater(machine, other, this.below(50));
  }

  start(machine: Machine): void {
    if (machine.running !== undefined || !this.machines.includes(machine)) return;
    this.counts.restarts += 1;
    const { createFence = (components) => new LeaseFence(components) } = this.#options;
    const { createCandidate = (options) => new Candidate(options) } = this.#options;
    const { disk } = machine;
    const isCurrent = (): boolean => machine.running === running;
    const running: Running = {
      candidate: machine.coordinates
        ? createCandidate({ self: { peer: machine.id, joinedAt: machine.joinedAt }, saved: disk.lease })
        : undefined,
      fence: createFence({
        saved: disk.fence,
        save: async (lease) => await this.#write(machine, isCurrent, () => (disk.fence = lease)),
        onAccepted: (lease) => {
          if (this.#since.get(machine.id)?.holder !== lease.holder) this.#since.set(machine.id, lease);
        },
      }),
      reservations: new Reservations(() => this.#monotonic(machine)),
      stages: new Map(),
      heard: new Map(),
      connected: new Set(),
      relayedAtMs: new Map(),
      version: 0,
      lastHeld: undefined,
      adoptedEpoch: 0,
    };
    machine.running = running;
    this.#every(machine, running, heartbeatMs, () => this.#publish(machine));
    this.#every(machine, running, 1000, () => this.#expire(machine));
    if (machine.coordinates) {
      this.#every(machine, running, lookMs, () => this.#look(machine));
      this.#place(machine, running);
    }
    for (const other of this.machines) this.#meetLater(machine, other);
  }

  freeze(machine: Machine, { asleep = false } = {}): void {
    if (machine.running === undefined || machine.isFrozen) return;
    machine.isFrozen = true;
    machine.isAsleep = asleep;
    machine.frozenAtMs = this.#nowMs;
    for (const other of this.machines) this.#noticeLater(machine, other);
  }

  thaw(machine: Machine): void {
    if (!machine.isFrozen) return;
    machine.isFrozen = false;
    if (machine.isAsleep) machine.sleptMs += this.#nowMs - machine.frozenAtMs;
    const { backlog } = machine;
    machine.backlog = [];
    for (const run of backlog) run();
    for (const other of this.machines) this.#meetLater(machine, other);
  }

  /** Wipes a data directory: the machine is another member afterwards. */
  wipe(machine: Machine): void {
    this.kill(machine);
    const index = this.machines.indexOf(machine);
    const fresh = this.#createMachine(machine.coordinates);
    this.machines[index] = fresh;
    this.after(this.below(2000), () => this.start(fresh));
  }

  /** Returns the coordinators that may place now. */
  holders(): readonly Machine[] {
    return this.machines.filter(
      (machine) => !machine.isFrozen && machine.running?.candidate?.held(this.#monotonic(machine)) !== undefined,
    );
  }

  /** Checks that every peer obeys the holder: nobody is left behind a fence that it can't pass. */
  assertObeys(holders: readonly Machine[]): void {
    for (const { id, running } of this.machines) {
      const { accepted } = running?.fence ?? {};
      if (holders.some((holder) => holder.id === accepted?.holder)) continue;
      throw new Error(`seed ${this.#options.seed}: ${id} obeys ${accepted === undefined ? 'nobody' : show(accepted)}`);
    }
  }

  #addMachine(coordinates: boolean): void {
    this.machines.push(this.#createMachine(coordinates));
  }

  #createMachine(coordinates: boolean): Machine {
    const letters = Array.from({ length: 8 }, () => 'ABCDEFGH'[this.below(8)]).join('');
    return {
      id: `12D3KooW${letters}${this.machines.length}x${this.#order}`,
      joinedAt: this.below(1000),
      coordinates,
      disk: { lease: undefined, fence: undefined, isFull: false },
      running: undefined,
      isFrozen: false,
      backlog: [],
      sleptMs: 0,
      frozenAtMs: 0,
      isAsleep: false,
      wallMs: 1_000_000,
    };
  }

  #monotonic(machine: Machine): number {
    return this.#nowMs - machine.sleptMs;
  }

  /** Runs something on a machine, as soon as that is not frozen, if the process is still the same. */
  #on(machine: Machine, running: Running, run: () => void): void {
    if (machine.running !== running) return;
    if (machine.isFrozen) machine.backlog.push(() => this.#on(machine, running, run));
    else run();
  }

  #every(machine: Machine, running: Running, periodMs: number, run: () => void): void {
    const tick = (): void =>
      this.#on(machine, running, () => {
        run();
        this.after(periodMs, tick);
      });
    this.after(this.below(periodMs), tick);
  }

  async #write(machine: Machine, isCurrent: () => boolean, write: () => void): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const { running } = machine;
    this.after(1 + this.below(60), () => {
      if (!isCurrent() || running === undefined) return;
      if (machine.disk.isFull) {
        this.counts.full += 1;
        this.#on(machine, running, () => reject(new Error('ENOSPC')));
        return;
      }
      write();
      this.#on(machine, running, resolve);
    });
    await promise;
  }

  #canTalk(one: Machine, other: Machine): boolean {
    const isUp = (machine: Machine) => machine.running !== undefined && !machine.isFrozen;
    return one !== other && isUp(one) && isUp(other) && !this.#cuts.has(wire(one, other));
  }

  #noticeLater(one: Machine, other: Machine, delayMs = silenceMs + this.below(200)): void {
    if (one === other) return;
    for (const [from, to] of [
      [one, other],
      [other, one],
    ] as const) {
      const { running } = from;
      if (running === undefined) continue;
      this.after(delayMs, () =>
        this.#on(from, running, () => {
          if (this.#canTalk(from, to)) return;
          if (!running.connected.delete(to.id)) return;
          const heard = running.heard.get(to.id);
          if (heard !== undefined) heard.isPresent = false;
          this.#changed(from);
        }),
      );
    }
  }

  #meetLater(one: Machine, other: Machine): void {
    if (one === other) return;
    this.after(50 + this.below(2000), () => {
      if (!this.#canTalk(one, other)) return;
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        const running = from.running;
        if (running === undefined) continue;
        running.connected.add(to.id);
        // A member whose clock went back hears of its own newest card.
        const known = to.running?.heard.get(from.id);
        if (known !== undefined) running.version = Math.max(running.version, known.card.version + 1);
      }
      for (const [from, to] of [
        [one, other],
        [other, one],
      ] as const) {
        this.#publish(from);
        for (const { card, isPresent } of from.running?.heard.values() ?? []) if (isPresent) this.#send(from, to, card);
      }
    });
  }

  #ownCard(machine: Machine, running: Running): CardModel {
    running.version = Math.max(machine.wallMs + this.#nowMs, running.version + 1);
    const seen = (lease: Lease): KnownLease => ({
      ...lease,
      isHolderSeen: lease.holder === machine.id || running.connected.has(lease.holder),
    });
    const held = running.candidate?.held(this.#monotonic(machine));
    const known = running.candidate?.known;
    const shown = held ?? (known?.holder === machine.id ? undefined : known);
    const { accepted } = running.fence;
    return {
      peer: machine.id,
      joinedAt: machine.joinedAt,
      roles: machine.coordinates ? ['coordinator', 'peer'] : ['peer'],
      version: running.version,
      stages: [...running.stages.values()],
      ...(shown !== undefined && { lease: seen(shown) }),
      ...(accepted !== undefined && { fence: seen(accepted) }),
    };
  }

  #publish(machine: Machine): void {
    const { running } = machine;
    if (running === undefined) return;
    const card = this.#ownCard(machine, running);
    for (const other of this.machines) if (running.connected.has(other.id)) this.#send(machine, other, card);
  }

  #send(from: Machine, to: Machine, card: CardModel): void {
    const { running } = to;
    if (running === undefined || !this.#canTalk(from, to)) return;
    this.after(1 + this.below(20), () => this.#on(to, running, () => this.#receive(to, running, card, from)));
  }

  #receive(machine: Machine, running: Running, card: CardModel, from: Machine): void {
    if (card.peer === machine.id) return;
    const before = running.heard.get(card.peer);
    if (before !== undefined && card.version <= before.card.version) return;
    const isNews =
      before?.isPresent !== true ||
      JSON.stringify({ ...before.card, version: 0 }) !== JSON.stringify({ ...card, version: 0 });
    running.heard.set(card.peer, { card, atMs: this.#monotonic(machine), isPresent: true });
    const relayedAtMs = running.relayedAtMs.get(card.peer) ?? -Infinity;
    if (isNews || this.#nowMs - relayedAtMs >= relayMs) {
      running.relayedAtMs.set(card.peer, this.#nowMs);
      for (const other of this.machines)
        if (other !== from && other.id !== card.peer && running.connected.has(other.id))
          this.#send(machine, other, card);
    }
    if (isNews) this.#changed(machine);
  }

  #expire(machine: Machine): void {
    const { running } = machine;
    if (running === undefined) return;
    const nowMs = this.#monotonic(machine);
    let isChanged = false;
    for (const [peer, heard] of running.heard) {
      if (!heard.isPresent || running.connected.has(peer) || nowMs - heard.atMs <= cardSilenceMs) continue;
      heard.isPresent = false;
      isChanged = true;
    }
    if (isChanged) this.#changed(machine);
  }

  /** Cards have changed: the peer looks for a greater lease, and the coordinator takes a look. */
  #changed(machine: Machine): void {
    const { running } = machine;
    if (running === undefined) return;
    const cards = presentCards(running);
    const greatest = cards
      .flatMap((card) => claimedLease(card) ?? [])
      .reduce<Lease | undefined>(greaterLease, undefined);
    if (greatest !== undefined && greatest.epoch > (running.fence.accepted?.epoch ?? 0))
      this.#admit(machine, running, greatest);
    this.#look(machine);
  }

  #admit(machine: Machine, running: Running, lease: Lease): void {
    running.fence.admit(lease).then(
      () => this.#onAccepted(machine, running),
      () => undefined,
    );
  }

  #onAccepted(machine: Machine, running: Running): void {
    const { accepted } = running.fence;
    if (machine.running !== running || accepted === undefined) return;
    const before = this.#accepted.get(machine.id) ?? 0;
    if (accepted.epoch < before) this.#violated(`${machine.id} has accepted epoch ${accepted.epoch} after ${before}`);
    this.#accepted.set(machine.id, accepted.epoch);
    if (accepted.epoch === before) return;
    running.reservations.accept(accepted);
    this.#publish(machine);
  }

  #look(machine: Machine): void {
    const { running } = machine;
    const { candidate } = running ?? {};
    if (running === undefined || candidate === undefined) return;
    const nowMs = this.#monotonic(machine);
    const before = candidate.held(nowMs)?.epoch;
    const isGathering = presentCards(running).length < this.machines.length - 1;
    const lease = candidate.look(nowMs, { cards: presentCards(running), isGathering, authority: this.machines[0]?.id });
    if (lease !== undefined) {
      const write = this.#write(
        machine,
        () => machine.running === running,
        () => (machine.disk.lease = lease),
      );
      write.then(
        () => {
          candidate.written(lease);
          if (candidate.held(this.#monotonic(machine)) !== undefined) this.counts.takeOvers += 1;
          this.#publish(machine);
        },
        () => {
          candidate.notWritten(this.#monotonic(machine));
          if (candidate.held(this.#monotonic(machine))?.epoch === lease.epoch)
            this.#violated('a lease that the disk did not take is held');
        },
      );
    }
    if (candidate.held(nowMs)?.epoch !== before) this.#publish(machine);
  }

  /** Has a coordinator place at random times: what a reconciler and its users do. */
  #place(machine: Machine, running: Running): void {
    const turn = (): void =>
      this.#on(machine, running, () => {
        const held = running.candidate?.held(this.#monotonic(machine));
        if (held !== undefined) running.lastHeld = held;
        // One in three orders comes from a coordinator that does not know, or does not care, that it was replaced.
        const lease = held ?? (this.below(3) === 0 ? running.lastHeld : undefined);
        if (lease !== undefined) this.#placeOnce(machine, running, lease);
        this.after(100 + this.below(1200), turn);
      });
    this.after(this.below(1000), turn);
  }

  #placeOnce(machine: Machine, running: Running, lease: Lease): void {
    const peers = this.machines.filter(({ id }) => running.connected.has(id) || id === machine.id);
    const stages = presentCards(running).flatMap((card) => card.stages);
    if (lease.epoch > running.adoptedEpoch) {
      running.adoptedEpoch = lease.epoch;
      for (const { deployment } of stages)
        for (const peer of peers) this.#command(machine, peer, { type: 'attach', lease, deployment });
      return;
    }
    const choice = this.below(3);
    const some = stages[this.below(Math.max(1, stages.length))];
    if (choice === 0 && some !== undefined) {
      const { deployment } = some;
      for (const peer of peers) this.#command(machine, peer, { type: 'unload', lease, deployment });
    } else this.#deploy(machine, peers, lease);
  }

  /** Reserves on every peer of a plan, then loads on all of them, or on none. */
  #deploy(machine: Machine, peers: readonly Machine[], lease: Lease): void {
    this.#deployments += 1;
    const deployment = `deployment-${this.#deployments}`;
    const bytes = 1 + this.below(5);
    const first = this.below(peers.length);
    const chosen = [...peers.slice(first), ...peers.slice(0, first)].slice(0, 1 + this.below(2));
    let agreed = 0;
    for (const peer of chosen) {
      this.#command(machine, peer, { type: 'reserve', lease, deployment, bytes }, () => {
        agreed += 1;
        if (agreed < chosen.length) return;
        this.counts.deployed += 1;
        for (const one of chosen) this.#command(machine, one, { type: 'load', lease, deployment, bytes });
      });
    }
  }

  #command(from: Machine, to: Machine, command: Command, onDone: () => void = () => undefined): void {
    const { lease } = command;
    const [sender, receiver] = [from.running, to.running];
    if (sender === undefined || receiver === undefined) return;
    if (from !== to && !this.#canTalk(from, to)) return;
    const answer = (run: () => void): void => {
      if (from === to || this.#canTalk(from, to)) this.after(1 + this.below(20), () => this.#on(from, sender, run));
    };
    // Some orders are long under way: through a slow reader, or in a queue.
    const delayMs = this.below(10) === 0 ? this.below(3000) : 1 + this.below(20);
    this.after(delayMs, () =>
      this.#on(to, receiver, () => {
        receiver.fence.admit(lease).then(
          () => {
            const obey = (): void => {
              try {
                receiver.fence.assertObeyed(lease.holder, lease);
              } catch {
                this.counts.refused += 1;
                return;
              }
              this.#onAccepted(to, receiver);
              if (this.#obey(to, receiver, command)) answer(onDone);
            };
            // Some are given on a stream that was let in before: others may be accepted between the two.
            if (this.below(3) > 0) this.#on(to, receiver, obey);
            else this.after(this.below(1500), () => this.#on(to, receiver, obey));
          },
          () => {
            this.counts.refused += 1;
            const { accepted } = receiver.fence;
            if (accepted !== undefined) answer(() => sender.candidate?.refused(accepted));
          },
        );
      }),
    );
  }

  #obey(machine: Machine, running: Running, command: Command): boolean {
    const { lease } = command;
    const { stages, reservations } = running;
    const before = this.#obeyed.get(machine.id);
    if (before !== undefined && lease.holder !== before.holder && lease.epoch <= before.epoch)
      this.#violated(`${machine.id} has obeyed ${show(lease)} after ${show(before)}`);
    const since = this.#since.get(machine.id);
    // A holder that takes a greater epoch is the same one: its orders under way are no stale ones.
    if (since !== undefined && (lease.epoch < since.epoch || lease.holder !== since.holder))
      this.#violated(`${machine.id} has obeyed ${show(lease)} although it had accepted ${show(since)}`);
    this.#obeyed.set(machine.id, lease);
    this.counts.obeyed += 1;
    const taken = (): number => [...stages.values()].reduce((sum, { bytes }) => sum + bytes, 0);
    const { deployment } = command;
    switch (command.type) {
      case 'attach':
        if (stages.has(deployment)) this.counts.adopted += 1;
        return stages.has(deployment);
      case 'unload':
        if (stages.delete(deployment)) this.counts.unloaded += 1;
        break;
      case 'reserve':
        try {
          reservations.reserve({ deployment, stage: 0, bytes: command.bytes, lease }, roomBytes - taken());
        } catch {
          return false;
        }
        break;
      case 'load':
        if (reservations.end({ deployment, stage: 0 }) === 0) return false;
        stages.set(deployment, { deployment, bytes: command.bytes });
        break;
    }
    if (taken() + reservations.bytes > roomBytes) this.#violated(`${machine.id} has promised more memory than it has`);
    this.#publish(machine);
    return true;
  }

  /** Notes the first violation of what leases promise; the run ends with it. */
  #violated(what: string): void {
    this.#violation ??= `seed ${this.#options.seed}, at ${this.#nowMs} ms: ${what}`;
  }
}

function presentCards({ heard }: Running): readonly CardModel[] {
  return [...heard.values()].filter(({ isPresent }) => isPresent).map(({ card }) => card);
}

function wire(one: Machine, other: Machine): string {
  return [one.id, other.id].toSorted().join(' ');
}

function show({ epoch, holder }: Lease): string {
  return `epoch ${epoch} of ${holder}`;
}

/** Lets promises that were settled run to where they wait for virtual time. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 12; turn += 1) await Promise.resolve();
}
