import { asSkeinError, type Logger } from '@skein/protocol';

import { peerIdOf } from '../transport/addresses.ts';
import { isIpAddress } from './addresses.ts';
import { backoffMs } from './backoff.ts';

/** The source of an address. One that a person gave is dialled for ever; one that was heard of, until it fails for long. */
export type AddressSource = 'explicit' | 'mdns' | 'card';

export interface DialerComponents {
  readonly ownPeerId: string;
  readonly logger: Logger;
  /** Connects to one member at any of these addresses and waits for admission. Resolves with its peer id. */
  readonly connect: (addresses: readonly string[], signal: AbortSignal) => Promise<string>;
  readonly isConnected: (peerId: string) => boolean;
  /** Returns a random number in [0, 1). Default: `Math.random`. */
  readonly random?: () => number;
}

interface Target {
  readonly key: string;
  /** Peer id; undefined for an explicit address without one, until it has been reached. */
  peerId: string | undefined;
  readonly sources: Map<AddressSource, readonly string[]>;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  dialling: boolean;
  /** Whether it has answered a dial of ours once. */
  reached: boolean;
}

/** Pause between two checks of a member that we were connected to, in milliseconds. A lost one is dialled at once. */
const connectedCheckMs = 15_000;
/** Longest attempt, in milliseconds: dialling all addresses of a member, and its admission. */
const attemptTimeoutMs = 6000;
const maxTargets = 1024;
const maxAddressesPerTarget = 16;
const maxDialsAtOnce = 16;
// Anyone on the LAN can answer mDNS. So what nothing but mDNS says waits for what members and people say, is dialled beside
// it, and is no more than a few targets for each host, until it has passed the handshake.
const maxUnprovenDialsAtOnce = 12;
const maxUnprovenPerHost = 8;
// About a minute of trying. A member that is still alive is heard of again.
const maxFailuresOfHearsay = 10;
// Two members that learn of each other together would both dial; the one with the greater peer id gives the other a
// head start.
const courtesyMs = 400;

/** A dialler that keeps us connected to every member with a known address, by dialling again with growing pauses. */
export class Dialer {
  readonly #components: DialerComponents;
  readonly #random: () => number;
  readonly #targets = new Map<string, Target>();
  /** Targets that are due to be dialled, in this order. */
  readonly #due = new Set<Target>();
  readonly #dials = new Set<Target>();
  #stopping = new AbortController();
  #running = false;

  constructor(components: DialerComponents) {
    this.#components = components;
    this.#random = components.random ?? Math.random;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#stopping = new AbortController();
    for (const target of this.#targets.values()) this.#schedule(target, this.#headStartMs(target));
  }

  stop(): void {
    this.#running = false;
    this.#stopping.abort();
    this.#due.clear();
    for (const target of this.#targets.values()) clearTimeout(target.timer);
  }

  /** Learns addresses of a member. They replace the earlier ones of the same source; dials soon when they are new. */
  learn(source: AddressSource, addresses: readonly string[], peerId: string | undefined): void {
    const key = peerId ?? addresses[0];
    if (key === undefined || peerId === this.#components.ownPeerId) return;
    // Only a person may make us ask the DNS.
    const usable = (source === 'explicit' ? addresses : addresses.filter(isIpAddress)).slice(0, maxAddressesPerTarget);
    let target = this.#targets.get(key);
    if (target === undefined) {
      if (usable.length === 0 || !this.#hasRoom(source, usable)) return;
      target = { key, peerId, sources: new Map(), failures: 0, timer: undefined, dialling: false, reached: false };
      this.#targets.set(key, target);
    }
    const known = target.sources.get(source);
    target.sources.set(source, usable);
    if (known?.join() === usable.join()) return;
    target.failures = 0;
    this.#schedule(target, this.#headStartMs(target));
  }

  /** Notes that the last connection to a member is gone. */
  lost(peerId: string): void {
    for (const target of this.#targets.values()) {
      if (target.peerId === peerId) this.#schedule(target, this.#headStartMs(target) + this.#pauseMs(target));
    }
  }

  /** Dials those that are not connected again, soon: the networks of this machine have changed. */
  retry(): void {
    for (const target of this.#targets.values()) {
      if (target.peerId !== undefined && this.#components.isConnected(target.peerId)) continue;
      target.failures = 0;
      this.#schedule(target, this.#headStartMs(target));
    }
  }

  /** Returns the addresses at which a member can be dialled, best known first. */
  addressesOf(peerId: string): readonly string[] {
    const target = this.#targets.get(peerId);
    return target === undefined ? [] : addressesOf(target);
  }

  /** Number of targets that a person has named and that were never met. */
  get unmet(): number {
    const { isConnected } = this.#components;
    const isMet = ({ peerId, reached }: Target) => reached || (peerId !== undefined && isConnected(peerId));
    return [...this.#targets.values()].filter((target) => target.sources.has('explicit') && !isMet(target)).length;
  }

  /** Tells whether one more target may be kept. Where there are too many, one that nobody has ever reached goes. */
  #hasRoom(source: AddressSource, addresses: readonly string[]): boolean {
    const unproven = [...this.#targets.values()].filter((target) => this.#isUnproven(target));
    if (source === 'mdns') {
      const ofHost = unproven.filter(({ sources }) => ipOf(sources.get('mdns')) === ipOf(addresses));
      if (ofHost.length >= maxUnprovenPerHost) return false;
    }
    if (this.#targets.size < maxTargets) return true;
    // Newcomers of the same kind replace only what has failed: each gets its turn.
    const leastFailures = source === 'mdns' ? 1 : 0;
    const replaceable = unproven.filter(({ dialling, failures }) => !dialling && failures >= leastFailures);
    const [first, ...others] = replaceable;
    if (first === undefined) return false;
    this.#drop(others.reduce((worst, other) => (other.failures > worst.failures ? other : worst), first));
    return true;
  }

  /** Tells whether a target is known by mDNS alone, and no connection has shown yet that it is a member. */
  #isUnproven({ peerId, reached, sources }: Target): boolean {
    const isHearsay = sources.has('mdns') && sources.size === 1;
    return isHearsay && !reached && !(peerId !== undefined && this.#components.isConnected(peerId));
  }

  #schedule(target: Target, delayMs: number): void {
    clearTimeout(target.timer);
    this.#due.delete(target);
    if (!this.#running || target.dialling) return;
    target.timer = setTimeout(() => {
      this.#due.add(target);
      this.#dialDue();
    }, delayMs);
  }

  #dialDue(): void {
    while (this.#running && this.#dials.size < maxDialsAtOnce) {
      const target = this.#nextDue();
      if (target === undefined) return;
      this.#due.delete(target);
      void this.#attempt(target);
    }
  }

  /**
   * Chooses the next target: one that somebody vouches for; else the one with the fewest failures, while there is room
   * for it.
   */
  #nextDue(): Target | undefined {
    let next: Target | undefined;
    for (const target of this.#due) {
      if (!this.#isUnproven(target)) return target;
      if (next === undefined || target.failures < next.failures) next = target;
    }
    const unprovenDials = [...this.#dials].filter((target) => this.#isUnproven(target));
    return unprovenDials.length < maxUnprovenDialsAtOnce ? next : undefined;
  }

  async #attempt(target: Target): Promise<void> {
    const { connect, isConnected, ownPeerId } = this.#components;
    if (target.peerId !== undefined && isConnected(target.peerId)) return this.#schedule(target, connectedCheckMs);
    target.dialling = true;
    this.#dials.add(target);
    const failuresBefore = target.failures;
    try {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(attemptTimeoutMs)]);
      target.peerId = await connect(addressesOf(target), signal);
      target.failures = 0;
      target.reached = true;
    } catch (error) {
      target.failures += 1;
      this.#report(target, error, failuresBefore);
    } finally {
      target.dialling = false;
      this.#dials.delete(target);
    }
    const hopeless = target.failures >= maxFailuresOfHearsay && !target.sources.has('explicit');
    if (hopeless || target.peerId === ownPeerId) this.#drop(target);
    else this.#schedule(target, target.failures === 0 ? connectedCheckMs : this.#pauseMs(target));
    this.#dialDue();
  }

  #pauseMs(target: Target): number {
    return backoffMs(Math.max(1, target.failures), this.#random());
  }

  #headStartMs(target: Target): number {
    if (target.sources.has('explicit') || target.peerId === undefined) return 0;
    return target.peerId < this.#components.ownPeerId ? courtesyMs * (0.5 + this.#random() / 2) : 0;
  }

  #drop(target: Target): void {
    clearTimeout(target.timer);
    this.#due.delete(target);
    this.#targets.delete(target.key);
  }

  /** Reports a failure. For an address that a person gave it is a warning, once for each row of failures. */
  #report(target: Target, error: unknown, failuresBefore: number): void {
    if (!this.#running || failuresBefore > 0) return;
    const { code, message } = asSkeinError(error, 'peer-lost');
    const fields = { peer: target.peerId, addresses: addressesOf(target), code, reason: message };
    const { logger } = this.#components;
    if (target.sources.has('explicit')) logger.warn(fields, "can't connect to a member; trying again");
    else logger.debug(fields, "can't connect to a member; trying again");
  }
}

/** Returns the host of an address that {@link isIpAddress} has checked; an mDNS answer names that of its sender only. */
function ipOf(addresses: readonly string[] = []): string | undefined {
  return addresses[0]?.split('/', 3)[2];
}

function addressesOf(target: Target): readonly string[] {
  const order: readonly AddressSource[] = ['explicit', 'mdns', 'card'];
  const addresses = new Set(order.flatMap((source) => target.sources.get(source) ?? []));
  const peerId = target.peerId;
  if (peerId === undefined) return [...addresses];
  return [...addresses].map((address) => (peerIdOf(address) === undefined ? `${address}/p2p/${peerId}` : address));
}
