import { asSkeinError, type Logger } from '@skein/protocol';

import { isIpAddress, peerIdOf } from './addresses.ts';
import { backoffMs } from './backoff.ts';

/** How an address was learned. Told by a person, it is dialled for ever; heard of, until it fails for long. */
export type AddressSource = 'explicit' | 'mdns' | 'card';

export interface DialerComponents {
  readonly ownPeerId: string;
  readonly logger: Logger;
  /** Connects to one member at any of these addresses and passes the gate. Resolves with its peer id. */
  readonly connect: (addresses: readonly string[], signal: AbortSignal) => Promise<string>;
  readonly isConnected: (peerId: string) => boolean;
  /** In [0, 1). Default Math.random. */
  readonly random?: () => number;
}

interface Target {
  readonly key: string;
  /** Unknown for an explicit address without one, until it has been reached. */
  peerId: string | undefined;
  readonly sources: Map<AddressSource, readonly string[]>;
  failures: number;
  timer: NodeJS.Timeout | undefined;
  dialling: boolean;
}

const recheckMs = 15_000;
const dialTimeoutMs = 6000;
const maxTargets = 1024;
const maxAddressesPerTarget = 16;
// About a minute of trying. What is still alive is heard of again.
const maxFailuresOfHearsay = 10;
// Two members that learn of each other together would both dial; the one with the greater peer id gives the other a
// head start.
const courtesyMs = 400;

/** Keeps us connected to every member we know an address of, by dialling again with growing pauses. */
export class Dialer {
  readonly #components: DialerComponents;
  readonly #random: () => number;
  readonly #targets = new Map<string, Target>();
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
    for (const target of this.#targets.values()) clearTimeout(target.timer);
  }

  /** Says where a member is. Replaces what the same source said before; dials soon when that is news. */
  learn(source: AddressSource, addresses: readonly string[], peerId: string | undefined): void {
    const key = peerId ?? addresses[0];
    if (key === undefined || peerId === this.#components.ownPeerId) return;
    let target = this.#targets.get(key);
    if (target === undefined) {
      if (this.#targets.size >= maxTargets || addresses.length === 0) return;
      target = { key, peerId, sources: new Map(), failures: 0, timer: undefined, dialling: false };
      this.#targets.set(key, target);
    }
    // Only a person may make us ask the DNS.
    const usable = source === 'explicit' ? addresses : addresses.filter(isIpAddress);
    const known = target.sources.get(source);
    target.sources.set(source, usable.slice(0, maxAddressesPerTarget));
    if (known?.join() === usable.slice(0, maxAddressesPerTarget).join()) return;
    target.failures = 0;
    this.#schedule(target, this.#headStartMs(target));
  }

  /** Takes back what a source said about a member. */
  forget(source: AddressSource, peerId: string): void {
    const target = this.#targets.get(peerId);
    if (target?.sources.delete(source) === true && target.sources.size === 0) this.#drop(target);
  }

  /** Says that the last connection to a member is gone. */
  lost(peerId: string): void {
    for (const target of this.#targets.values()) {
      if (target.peerId === peerId) this.#schedule(target, this.#headStartMs(target) + this.#pauseMs(target));
    }
  }

  /** Where a member can be dialled, best known first. */
  addressesOf(peerId: string): readonly string[] {
    const target = this.#targets.get(peerId);
    return target === undefined ? [] : addressesOf(target);
  }

  #schedule(target: Target, delayMs: number): void {
    clearTimeout(target.timer);
    if (!this.#running || target.dialling) return;
    target.timer = setTimeout(() => void this.#attempt(target), delayMs);
  }

  async #attempt(target: Target): Promise<void> {
    const { connect, isConnected, ownPeerId } = this.#components;
    if (target.peerId !== undefined && isConnected(target.peerId)) return this.#schedule(target, recheckMs);
    target.dialling = true;
    const failuresBefore = target.failures;
    try {
      const signal = AbortSignal.any([this.#stopping.signal, AbortSignal.timeout(dialTimeoutMs)]);
      target.peerId = await connect(addressesOf(target), signal);
      target.failures = 0;
    } catch (error) {
      target.failures += 1;
      this.#report(target, error, failuresBefore);
    } finally {
      target.dialling = false;
    }
    const hopeless = target.failures >= maxFailuresOfHearsay && !target.sources.has('explicit');
    if (hopeless || target.sources.size === 0 || target.peerId === ownPeerId) this.#drop(target);
    else this.#schedule(target, target.failures === 0 ? recheckMs : this.#pauseMs(target));
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
    this.#targets.delete(target.key);
  }

  /** An address that a person gave is worth a warning, once for each row of failures. */
  #report(target: Target, error: unknown, failuresBefore: number): void {
    if (!this.#running || failuresBefore > 0) return;
    const { code, message } = asSkeinError(error, 'peer-lost');
    const fields = { peer: target.peerId, addresses: addressesOf(target), code, reason: message };
    const { logger } = this.#components;
    if (target.sources.has('explicit')) logger.warn(fields, "can't connect to a member; trying again");
    else logger.debug(fields, "can't connect to a member; trying again");
  }
}

function addressesOf(target: Target): readonly string[] {
  const order: readonly AddressSource[] = ['explicit', 'mdns', 'card'];
  const addresses = new Set(order.flatMap((source) => target.sources.get(source) ?? []));
  const peerId = target.peerId;
  if (peerId === undefined) return [...addresses];
  return [...addresses].map((address) => (peerIdOf(address) === undefined ? `${address}/p2p/${peerId}` : address));
}
