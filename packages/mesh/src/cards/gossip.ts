import {
  asSkeinError,
  parseHeader,
  signedCardSchema,
  SkeinError,
  type Card,
  type Frame,
  type Logger,
} from '@skein/protocol';

import type { Membership } from '../membership/membership.ts';
import type { FrameStream } from '../streams/frame-stream.ts';
import { TokenBucket } from '../streams/token-bucket.ts';
import { lostForMs } from './absent.ts';
import { CardBook } from './card-book.ts';
import { CardLink } from './card-link.ts';
import { digestOf, listMembers } from './firsthand.ts';
import type { CardContent, OwnCard } from './own-card.ts';
import { verifyCard, type SignedCard } from './signed-card.ts';
import { IdentityConflictWatch } from './identity-conflict.ts';

export interface GossipComponents {
  readonly own: OwnCard;
  readonly membership: Membership;
  readonly logger: Logger;
  readonly isConnected: (peerId: string) => boolean;
  /** Called when the set of cards, or the content of one, has changed; not for heartbeats. */
  readonly onChange: () => void;
}

const heartbeatMs = 2000;
const expiryCheckMs = 1000;
// Several changes in a row, as when a batch of requests starts, make one card.
const coalesceMs = 50;
// In a full mesh everybody hears heartbeats first-hand. Relaying every second one serves those who don't.
const relayHeartbeatMs = 3000;
// Each card costs a signature's check. A newcomer is sent everybody's at once; after that a mesh of hundreds needs fewer.
const cardPace = { unitsPerSecond: 200, burst: 2048 };

/**
 * The exchange of cards: ours goes to everyone, on change and as a heartbeat, and others' go to those who may not have
 * them.
 */
export class Gossip {
  readonly #components: GossipComponents;
  readonly #book = new CardBook();
  readonly #links = new Set<CardLink>();
  readonly #relayedAtMs = new Map<string, number>();
  readonly #conflicts = new IdentityConflictWatch();
  readonly #paces = new Map<string, TokenBucket>();
  #signed: SignedCard | undefined;
  #publishing: Promise<void> = Promise.resolve();
  #timers: NodeJS.Timeout[] = [];
  #coalescing: NodeJS.Timeout | undefined;
  #checkedAtMs = 0;
  #running = false;

  constructor(components: GossipComponents) {
    this.#components = components;
  }

  start(): void {
    if (this.#running) return;
    this.#running = true;
    this.#checkedAtMs = performance.now();
    this.#timers = [setInterval(() => this.#publish(), heartbeatMs), setInterval(() => this.#expire(), expiryCheckMs)];
    this.#publish();
  }

  async stop(): Promise<void> {
    this.#running = false;
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#coalescing);
    await this.#publishing;
  }

  /** Returns the cards of all members present, our own first. */
  snapshot(): readonly Card[] {
    return [this.#components.own.current, ...this.#book.present.map(({ card }) => card)];
  }

  /** Last cards of members that were lost a short time ago. */
  get lostCards(): readonly Card[] {
    return this.#lost().map(({ card }) => card);
  }

  /** Whether another daemon uses our identity, as a copied data directory makes it. */
  get hasIdentityConflict(): boolean {
    return this.#conflicts.sees(performance.now());
  }

  /** Changes our card and sends it to everyone soon. */
  update(change: Partial<CardContent>): void {
    this.#components.own.update(change);
    this.#components.onChange();
    if (!this.#running || this.#coalescing !== undefined) return;
    this.#coalescing = setTimeout(() => {
      this.#coalescing = undefined;
      this.#publish();
    }, coalesceMs);
  }

  /**
   * Signs our card as it is now, sends it to everyone, and returns it.
   *
   * @throws SkeinError `not-running` unless started
   */
  async renew(): Promise<SignedCard> {
    this.#publish();
    await this.#publishing;
    if (this.#signed !== undefined) return this.#signed;
    throw new SkeinError('not-running', 'this member has no card yet');
  }

  /**
   * Takes the card that a member was asked for, as any other.
   *
   * @throws SkeinError as {@link verifyCard} does; `protocol-violation` for the card of somebody else
   */
  async take(frame: Frame, peerId: string): Promise<void> {
    const signed = await verifyCard(frame, this.#components.membership);
    if (signed.card.peer !== peerId) {
      throw new SkeinError('protocol-violation', 'answered with the card of another member');
    }
    const link = [...this.#links].find((one) => one.peerId === peerId);
    this.#accept(signed, peerId, link);
  }

  /** Drops the cards of former members. */
  async recheck(): Promise<void> {
    const { membership, onChange } = this.#components;
    let hasDropped = false;
    for (const { card, certificate } of [...this.#book.present, ...this.#lost()]) {
      try {
        await membership.verify(certificate, card.peer);
      } catch {
        hasDropped = this.#book.drop(card.peer) || hasDropped;
      }
    }
    if (hasDropped) onChange();
  }

  /** Notes that the last connection to a member is gone. Its card goes, too, until the member or a newer card comes. */
  lost(peerId: string): void {
    this.#relayedAtMs.delete(peerId);
    this.#paces.delete(peerId);
    if (this.#book.lose(peerId, performance.now())) this.#components.onChange();
  }

  /**
   * Exchanges cards on a stream until it is over.
   *
   * @throws SkeinError `peer-lost` when the stream is lost; the fault when the other end breaks the protocol
   */
  async exchange(peerId: string, stream: FrameStream): Promise<void> {
    const pace = this.#paces.get(peerId) ?? new TokenBucket(cardPace, performance.now());
    this.#paces.set(peerId, pace);
    const link = new CardLink(peerId, stream, pace);
    this.#links.add(link);
    // A newcomer learns of everyone from whomever it met first; that is how a mesh becomes full.
    if (this.#signed !== undefined) link.offer(this.#signed);
    for (const signed of this.#book.present) if (signed.card.peer !== peerId) link.offer(signed);
    let complained = false;
    try {
      await link.run(async (frame) => {
        const problem = await this.#receive(frame, link);
        if (problem === undefined || complained) return;
        complained = true;
        this.#components.logger.warn({ from: peerId, reason: problem }, 'refused a card');
      });
    } finally {
      this.#links.delete(link);
    }
  }

  #lost(): readonly SignedCard[] {
    return this.#book.lostSince(performance.now() - lostForMs);
  }

  /** Takes a card. Resolves with the fault of it, if any: a bad card costs itself alone. */
  async #receive(frame: Frame, from: CardLink): Promise<string | undefined> {
    let signed: SignedCard;
    try {
      signed = await verifyCard(frame, this.#components.membership);
    } catch (error) {
      return asSkeinError(error).message;
    }
    const { firsthand } = parseHeader(signedCardSchema, frame.header);
    if (firsthand !== undefined) from.hears(firsthand);
    return this.#accept(signed, from.peerId, from);
  }

  /** Takes a verified card that came from a member, by a link or without. Returns the reason not to keep it, if any. */
  #accept(signed: SignedCard, sender: string, from: CardLink | undefined): string | undefined {
    const { peer, version } = signed.card;
    const { own, onChange } = this.#components;
    if (peer === own.current.peer) {
      const isForeign = own.isForeign(version);
      const isBehind = own.skipPast(version);
      if (isForeign || isBehind) this.#onForeignOwn(isBehind);
      return undefined;
    }
    const reception = this.#book.receive(signed, performance.now(), { isFirsthand: sender === peer });
    if (reception === 'full') return 'more members than this one keeps track of';
    if (sender === peer) from?.noteOwnCard();
    if (reception === 'stale') this.#correct(signed, from);
    else this.#relay(signed, from, reception === 'renewed');
    if (reception === 'new' || reception === 'changed') onChange();
    return undefined;
  }

  /**
   * Handles a card of ours from others that we did not send: from before a restart, or from another daemon with our
   * identity.
   */
  #onForeignOwn(isBehind: boolean): void {
    const nowMs = performance.now();
    const hadConflict = this.#conflicts.sees(nowMs);
    // Two daemons that answered each other at once would never stop.
    if (this.#conflicts.note(nowMs) && isBehind) this.#publish();
    if (hadConflict || !this.#conflicts.sees(nowMs)) return;
    this.#components.logger.error(
      {},
      'another daemon uses the identity of this one, as a copied data directory does; let one of them join anew',
    );
  }

  /** Sends a member its own newest card, when its clock went back and nobody takes its cards any more. */
  #correct(signed: SignedCard, from: CardLink | undefined): void {
    const newest = this.#book.newest(signed.card.peer);
    if (from?.peerId !== signed.card.peer || newest === undefined) return;
    if (newest.card.version > signed.card.version) from.offer(newest);
  }

  #relay(signed: SignedCard, from: CardLink | undefined, isHeartbeat: boolean): void {
    const nowMs = performance.now();
    const { peer } = signed.card;
    if (isHeartbeat && nowMs - (this.#relayedAtMs.get(peer) ?? -Infinity) < relayHeartbeatMs) return;
    this.#relayedAtMs.set(peer, nowMs);
    const digest = digestOf(peer);
    for (const link of this.#links) {
      // On its other links a member hears of a daemon that uses its identity.
      if (link === from) continue;
      if (link.peerId === peer || !link.getsFirsthand(digest)) link.offer(signed);
    }
  }

  #publish(): void {
    const publish = async (): Promise<void> => {
      if (!this.#running) return;
      try {
        this.#signed = await this.#components.own.sign();
        const heard = [...this.#links].filter((link) => link.broughtOwnCard).map(({ peerId }) => peerId);
        const firsthand = listMembers(heard);
        for (const link of this.#links) {
          link.say(firsthand);
          link.offer(this.#signed);
        }
      } catch (error) {
        this.#components.logger.error({ error }, "can't publish the own card");
      }
    };
    // One after the other, so that versions go out in order.
    this.#publishing = this.#publishing.then(publish);
  }

  #expire(): void {
    const nowMs = performance.now();
    const stalledMs = nowMs - this.#checkedAtMs - expiryCheckMs;
    this.#checkedAtMs = nowMs;
    if (stalledMs > expiryCheckMs) this.#book.excuse(stalledMs);
    const gone = this.#book.expire(nowMs, this.#components.isConnected);
    for (const peerId of gone) this.#relayedAtMs.delete(peerId);
    if (gone.length > 0) this.#components.onChange();
  }
}
