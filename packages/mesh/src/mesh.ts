import type { Method } from '@skein/protocol';

import type { Absent } from './cards/absent.ts';
import type { Cards } from './cards/cards.ts';
import type { CardContent } from './cards/own-card.ts';
import type { StreamHandler } from './connections/serve.ts';
import type { Authority } from './membership/authority.ts';
import type { Credentials, Membership } from './membership/membership.ts';
import type { FrameStream } from './streams/frame-stream.ts';
import type { Traffic } from './streams/traffic.ts';

/** The fields of a card that its member can change while it runs. */
export type CardChange = Partial<Omit<CardContent, 'addresses'>>;

/** One member of a mesh, and through it all the others. */
export interface Mesh {
  readonly peerId: string;
  /** Its certificate, and the list of revoked members. */
  readonly membership: Membership;
  /** The authority, on the one machine that holds it. */
  readonly authority: Authority | undefined;
  /** The members that are present, as their cards describe them. */
  readonly cards: Cards;
  /** Returns the members that are missing and may be back in a moment. */
  absent(): Absent;
  /**
   * Listens, looks for members and connects. Does nothing when running.
   *
   * @throws SkeinError `not-running` once it was stopped
   */
  start(): Promise<void>;
  /** Closes everything, within two seconds and for good. Does nothing when stopped. */
  stop(): Promise<void>;
  /** Returns the multiaddrs, with its peer id, at which others can dial this member. Empty until started. */
  addresses(): readonly string[];
  /** Returns the peer ids of the members connected now. */
  connectedPeers(): readonly string[];
  /**
   * Changes our card. All members hear of it within a moment.
   *
   * @throws SkeinError `protocol-violation` for values that no card may hold, `frame-too-large` for more than fits into
   * one; the card stays as it was then
   */
  updateCard(change: CardChange): void;
  /**
   * Sends our card to all members at once, with the changes so far. Resolves when it is on its way.
   *
   * @throws SkeinError `not-running` before the mesh was started
   */
  sendCard(): Promise<void>;
  /**
   * Gets the card of a member as it is now, its hardware looked at anew, and shows it among the cards. A coordinator may.
   *
   * @throws SkeinError the errors of {@link open}; `not-running` where a member does not answer that; what is wrong with
   * the card
   */
  freshCard(peerId: string, options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /**
   * Answers coordinators that ask for our card as it is now, until the returned object is disposed.
   *
   * @param look looks at the hardware anew, and changes the card
   */
  answerFreshCards(look: () => Promise<void>): Disposable;
  /**
   * Answers a method until the returned object is disposed: streams opened after that get `not-running`, open ones go
   * on.
   *
   * @throws SkeinError `already-running` when it is answered already
   */
  handle(method: Method, handler: StreamHandler): Disposable;
  /**
   * Opens a stream of a method to a member, or to ourselves; dials when there is no connection. Waits at most the
   * method's `openTimeoutMs`. Reads throw the error of the member's handler.
   *
   * @throws SkeinError `peer-lost` when the member can't be reached, `not-a-member`, `deadline-exceeded`, `aborted`,
   * `not-running`
   */
  open(peerId: string, method: Method, options?: { readonly signal?: AbortSignal | undefined }): Promise<FrameStream>;
  /**
   * Returns credentials for a program beside this member, with the given peer id: as a client, for an hour.
   *
   * @throws SkeinError `peer-lost` when the machine with the authority is not there; the authority's refusal
   */
  admitClient(peer: string): Promise<Credentials>;
  /**
   * Asks the authority to remove this member.
   *
   * @throws SkeinError `invalid-request` on the machine that holds the authority, `peer-lost` when that is not there
   */
  leave(): Promise<void>;
  /** Whether another daemon uses this member's identity, as a copied data directory makes it. Noticed within seconds. */
  readonly hasIdentityConflict: boolean;
  /** Returns the bytes exchanged with other members so far. */
  traffic(): Traffic;
}
