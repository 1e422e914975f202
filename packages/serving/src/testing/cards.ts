import type { Card, HeldModel, HeldStage } from '@skein/protocol';

/** The model of {@link modelOf} and {@link leadOf} when they are told nothing else. */
export const tiny = { model: 'a'.repeat(64), name: 'tiny' } as const;

/** The card of a member, in so far as it is not said otherwise. */
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

/** A model that a member holds. */
export function modelOf(content: Partial<HeldModel> = {}): HeldModel {
  return { ...tiny, manifest: 'd'.repeat(64), bytes: 7, ...content };
}

/** A ready lead of a model of one stage, idle. */
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
