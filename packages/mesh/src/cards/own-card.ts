import { cardSchema, encodeValue, limits, parseHeader, SkeinError, type Card } from '@skein/protocol';

import type { Membership } from '../membership/membership.ts';
import type { PrivateKey } from '../transport/keys.ts';
import { signCard, withClaims, type SignedCard } from './signed-card.ts';

/** The fields of a card that its member chooses; neither its id, its labels, its time of joining nor its version. */
export type CardContent = Omit<Card, 'peer' | 'version' | 'labels' | 'joinedAt'>;

/** Most versions that are remembered: those of a minute, at one card every two seconds and many more while much changes. */
const rememberedVersions = 256;

/** Our own card: changed at will, signed when it is sent. */
export class OwnCard {
  readonly #privateKey: PrivateKey;
  readonly #membership: Membership;
  readonly #nowMs: () => number;
  #card: Card;
  readonly #firstVersion: number;
  /** The newest versions that were sent. */
  readonly #sent: number[] = [];

  constructor(
    owner: { readonly peerId: string; readonly privateKey: PrivateKey; readonly membership: Membership },
    content: CardContent,
    nowMs: () => number = Date.now,
  ) {
    this.#privateKey = owner.privateKey;
    this.#membership = owner.membership;
    this.#nowMs = nowMs;
    const card = { ...content, peer: owner.peerId, version: nowMs() };
    this.#card = publishable(withClaims(card, owner.membership.certificate));
    this.#firstVersion = card.version;
  }

  get current(): Card {
    return this.#card;
  }

  /**
   * Replaces the given fields; one that is undefined is left out from now on.
   *
   * @throws SkeinError `protocol-violation` for values that no card may hold, `frame-too-large` for more than fits into
   * one; nothing changes then
   */
  update(change: Partial<CardContent>): void {
    const { peer, version } = this.#card;
    this.#card = publishable({ ...this.#card, ...change, peer, version });
  }

  /** Signs the card, with a newer version than all before it. */
  async sign(): Promise<SignedCard> {
    this.#card = { ...this.#card, version: Math.max(this.#nowMs(), this.#card.version + 1) };
    this.#sent.push(this.#card.version);
    if (this.#sent.length > rememberedVersions) this.#sent.shift();
    const { certificate } = this.#membership.credentials;
    return await signCard(this.#card, { privateKey: this.#privateKey, certificate });
  }

  /** Tells whether a card of ours can't be one that we have sent, nor one from before a restart. */
  isForeign(version: number): boolean {
    return version > this.#firstVersion && !this.#sent.includes(version);
  }

  /** Skips past a version that we sent before a restart, when the clock was ahead. Returns true when that was needed. */
  skipPast(version: number): boolean {
    if (version <= this.#card.version) return false;
    this.#card = { ...this.#card, version: version + 1 };
    return true;
  }
}

/**
 * Checks that others will take a card, whatever its version. The schema counts characters, so a card within it may not
 * fit.
 */
function publishable(content: Card): Card {
  const given = Object.entries(content).filter(([, value]) => value !== undefined);
  const card = parseHeader(cardSchema, Object.fromEntries(given));
  const { byteLength } = encodeValue({ ...card, version: Number.MAX_SAFE_INTEGER });
  if (byteLength <= limits.maxCardBytes) return card;
  const fix = 'let this member hold fewer models, or give them shorter names';
  throw new SkeinError('frame-too-large', `a card of ${byteLength} bytes is over ${limits.maxCardBytes}; ${fix}`);
}
