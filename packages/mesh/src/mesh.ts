import type { Method } from '@skein/protocol';

import type { Absent } from './cards/absent.ts';
import type { Cards } from './cards/cards.ts';
import type { CardContent } from './cards/own-card.ts';
import type { StreamHandler } from './connections/serve.ts';
import type { Authority } from './membership/authority.ts';
import type { Credentials, Membership } from './membership/membership.ts';
import type { FrameStream } from './streams/frame-stream.ts';
import type { Traffic } from './streams/traffic.ts';

/** What of a card its member can change while it runs. */
export type CardChange = Partial<Omit<CardContent, 'addresses'>>;

/** One member of a mesh, and through it all the others. */
export interface Mesh {
  readonly peerId: string;
  /** Its certificate, and who is no member any more. */
  readonly membership: Membership;
  /** On the one machine that says who is a member. */
  readonly authority: Authority | undefined;
  /** Who is there and what they say about themselves. */
  readonly cards: Cards;
  /** Who is not there and may be back in a moment. */
  absent(): Absent;
  /** Listens, looks for members and connects. Does nothing when running. Throws `not-running` once stopped. */
  start(): Promise<void>;
  /** Closes everything, within two seconds. For good; does nothing when stopped. */
  stop(): Promise<void>;
  /** Where others can dial this member: multiaddrs with its peer id. Empty until started. */
  addresses(): readonly string[];
  /** Peer ids of the members connected now. */
  connectedPeers(): readonly string[];
  /**
   * Changes our card. Everyone hears of it within a moment. Throws `protocol-violation` for what no card may hold and
   * `frame-too-large` for more than fits into one; the card stays as it was then.
   */
  updateCard(change: CardChange): void;
  /**
   * Answers a method until what it returns is disposed: streams opened after that get `not-running`, those that are open
   * go on. Throws `already-running` when it is answered already.
   */
  handle(method: Method, handler: StreamHandler): Disposable;
  /**
   * Opens a stream of a method to a member, or to ourselves; dials when there is no connection. Waits at most the
   * method's `openTimeoutMs`. Throws `peer-lost` when the member can't be reached, `not-a-member`, `deadline-exceeded`,
   * `aborted`, `not-running`. Reads throw what the member's handler threw.
   */
  open(peerId: string, method: Method, options?: { readonly signal?: AbortSignal | undefined }): Promise<FrameStream>;
  /**
   * Credentials for a program beside this member, which has the given peer id: as a client, for an hour. Throws `peer-lost`
   * when the machine that holds the authority is not there, and what that refuses with.
   */
  admitClient(peer: string): Promise<Credentials>;
  /** Asks the authority to take this member off. Throws `invalid-request` on the machine that holds it, and `peer-lost`. */
  leave(): Promise<void>;
  /** Whether another daemon uses this member's identity, as a copied data directory makes it. Noticed within seconds. */
  readonly hasIdentityConflict: boolean;
  /** Bytes exchanged with other members so far. */
  traffic(): Traffic;
}
