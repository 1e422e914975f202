import type { Cards } from '@skein/mesh';
import type { Card, HeldModel, HeldStage } from '@skein/protocol';

/** The model of {@link modelOf} and {@link leadOf} by default. */
export const tiny = { model: 'a'.repeat(64), name: 'tiny' } as const;

/** Makes a member's card, with defaults for the fields that `content` leaves out. */
export function cardOf(peer: string, content: Partial<Card> = {}): Card {
  return {
    peer,
    version: 1,
    roles: ['peer'],
    name: peer,
    software: 'test',
    addresses: [],
    models: [],
    stages: [],
    ...content,
  };
}

/** Makes the entry of a card for a model that its member holds: {@link tiny}, where `content` says nothing else. */
export function modelOf(content: Partial<HeldModel> = {}): HeldModel {
  return { ...tiny, manifest: 'd'.repeat(64), bytes: 7, ...content };
}

/** Makes the entry of a card for an idle, ready lead of {@link tiny} in one stage, where `content` says nothing else. */
export function leadOf(content: Partial<HeldStage> = {}): HeldStage {
  return {
    ...tiny,
    deployment: 'deployment-1',
    stage: 0,
    stages: 1,
    block: { from: 0, to: 4 },
    state: 'ready',
    contextTokens: 1024,
    sequences: 4,
    bytes: 0,
    active: 0,
    queued: 0,
    ...content,
  };
}

/** A view of cards that a test changes at will. */
export class CardsView implements Pick<Cards, 'onChange' | 'snapshot'> {
  readonly #listeners = new Set<() => void>();
  #cards: readonly Card[];

  constructor(cards: readonly Card[]) {
    this.#cards = cards;
  }

  snapshot(): readonly Card[] {
    return this.#cards;
  }

  onChange(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Replaces all cards. */
  set(cards: readonly Card[]): void {
    this.#cards = cards;
    for (const listener of this.#listeners) listener();
  }
}
