import { encodeValue, type Card } from '@skein/protocol';

import type { SignedCard } from './signed-card.ts';

interface Entry {
  signed: SignedCard;
  /** Time at which its newest version came. */
  heardAtMs: number;
  /** False once its member is gone. Its version is remembered, so that an old card can't come back. */
  present: boolean;
  /** Its last card before its member was lost; undefined unless the member is lost, or is back and does not serve yet. */
  lost: { readonly atMs: number; readonly before: SignedCard } | undefined;
}

/**
 * The effect of a card. `stale`: it is not newer than ours. `renewed`: only its version differs. `full`: there is no
 * room.
 */
export type Reception = 'new' | 'changed' | 'renewed' | 'stale' | 'full';

export interface CardBookOptions {
  /** Time without a newer card after which a member without a connection is gone, in milliseconds. Default 6,000. */
  readonly silenceMs?: number;
  /** Most cards that are kept, of members present and gone. Default 1,024. */
  readonly maxCards?: number;
}

/** The newest card of every other member. It keeps no clock and does no I/O: times come in, in milliseconds. */
export class CardBook {
  readonly #entries = new Map<string, Entry>();
  readonly #silenceMs: number;
  readonly #maxCards: number;

  constructor(options: CardBookOptions = {}) {
    this.#silenceMs = options.silenceMs ?? 6000;
    this.#maxCards = options.maxCards ?? 1024;
  }

  /** Cards of the members that are present. */
  get present(): readonly SignedCard[] {
    return [...this.#entries.values()].filter(({ present }) => present).map(({ signed }) => signed);
  }

  /** Returns the newest card ever heard of a member, even if it is gone. */
  newest(peerId: string): SignedCard | undefined {
    return this.#entries.get(peerId)?.signed;
  }

  /**
   * Takes a verified card. A member that is back may bring the version that we have, if the card comes from the member
   * itself.
   */
  receive(signed: SignedCard, nowMs: number, { isFirsthand = false } = {}): Reception {
    const { peer, version } = signed.card;
    const entry = this.#entries.get(peer);
    if (entry === undefined) {
      if (this.#entries.size >= this.#maxCards && !this.#forgetOneGone()) return 'full';
      this.#entries.set(peer, { signed, heardAtMs: nowMs, present: true, lost: undefined });
      return 'new';
    }
    const { signed: previous, present } = entry;
    const isBack = isFirsthand && !present && version === previous.card.version;
    if (version <= previous.card.version && !isBack) return 'stale';
    entry.signed = signed;
    entry.heardAtMs = nowMs;
    entry.present = true;
    // A machine that restarts is a member again before its peer has looked at what it holds.
    if (entry.lost !== undefined && (saysWhatItServes(signed.card) || !saysWhatItServes(entry.lost.before.card)))
      entry.lost = undefined;
    if (!present) return 'new';
    return isSameContent(previous.card, signed.card) ? 'renewed' : 'changed';
  }

  /** Drops members that are silent and not connected; returns their peer ids. */
  expire(nowMs: number, isConnected: (peerId: string) => boolean): string[] {
    const gone: string[] = [];
    for (const [peerId, entry] of this.#entries) {
      if (!entry.present) continue;
      // FailureDetector is counted from the end of the connection at the earliest.
      if (isConnected(peerId)) entry.heardAtMs = Math.max(entry.heardAtMs, nowMs);
      else if (nowMs - entry.heardAtMs > this.#silenceMs) {
        markLost(entry, nowMs);
        gone.push(peerId);
      }
    }
    return gone;
  }

  /** Drops a lost member; returns false when it was not present. */
  lose(peerId: string, nowMs: number): boolean {
    const entry = this.#entries.get(peerId);
    if (entry?.present !== true) return false;
    markLost(entry, nowMs);
    return true;
  }

  /** Drops a former member, present or lost; returns false when it was neither. */
  drop(peerId: string): boolean {
    const entry = this.#entries.get(peerId);
    if (entry === undefined) return false;
    const wasPresent = entry.present;
    entry.present = false;
    entry.lost = undefined;
    return wasPresent;
  }

  /** Returns the last cards of members that were lost since a time and do not serve again. */
  lostSince(sinceMs: number): readonly SignedCard[] {
    return [...this.#entries.values()].flatMap(({ lost }) =>
      lost !== undefined && lost.atMs > sinceMs ? [lost.before] : [],
    );
  }

  /** Gives all members more time, after we have been unable to listen ourselves. */
  excuse(pauseMs: number): void {
    for (const entry of this.#entries.values()) entry.heardAtMs += pauseMs;
  }

  #forgetOneGone(): boolean {
    for (const [peerId, { present }] of this.#entries) if (!present) return this.#entries.delete(peerId);
    return false;
  }
}

function markLost(entry: Entry, nowMs: number): void {
  entry.present = false;
  entry.lost = { atMs: nowMs, before: entry.lost?.before ?? entry.signed };
}

/** Tells whether a card lists what its member serves: the models that it holds come with its hardware. */
export function saysWhatItServes(card: Card): boolean {
  return card.hardware !== undefined;
}

function isSameContent(left: Card, right: Card): boolean {
  const bytes = [left, right].map((card) => encodeValue({ ...card, version: 0 }));
  return Buffer.compare(bytes[0] ?? new Uint8Array(), bytes[1] ?? new Uint8Array()) === 0;
}
