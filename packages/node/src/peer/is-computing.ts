import type { Card } from '@skein/protocol';

/**
 * Tells whether a member has a stage that computes, or one that is being loaded, according to the cards. Of a
 * pipeline's stages only the lead counts sequences, so a stage is as busy as its deployment's lead.
 */
export function isComputing(peerId: string, cards: readonly Card[]): boolean {
  const stages = cards.find(({ peer }) => peer === peerId)?.stages ?? [];
  if (stages.some(({ state }) => state === 'loading')) return true;
  const held = new Set(stages.map(({ deployment }) => deployment));
  return cards.some((card) =>
    card.stages.some(({ deployment, active, queued }) => held.has(deployment) && active + queued > 0),
  );
}
