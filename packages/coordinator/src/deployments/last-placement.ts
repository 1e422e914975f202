import {
  arraySchema,
  blockSchema,
  deviceMemorySchema,
  limits,
  maxGpus,
  peerIdSchema,
  plannedSpecSchema,
  predictionSchema,
  type Card,
} from '@skein/protocol';
import { z } from 'zod';

/** Most characters of a plan's explanation. */
export const maxExplanation = 8192;

/** The peers of a deployment that served, by which a coordinator that restarts finds it again. */
export const lastPlacementSchema = z.object({
  spec: plannedSpecSchema,
  /** Stages in pipeline order. */
  stages: arraySchema(
    z.object({
      peer: peerIdSchema,
      block: blockSchema,
      /** Memory that it was planned to take, and the same by device. */
      bytes: z.number().nonnegative(),
      devices: arraySchema(deviceMemorySchema, { most: maxGpus + 1 }).optional(),
    }),
    {
      least: 1,
      most: limits.maxStages,
    },
  ),
  explanation: z.string().max(maxExplanation),
  /** Speed that was expected of it. */
  prediction: predictionSchema.optional(),
  /** Start of the deployment, in milliseconds since 1970. */
  startedAt: z.number().nonnegative(),
});
export type LastPlacement = z.infer<typeof lastPlacementSchema>;

/**
 * Judges by the cards whether a deployment is where it was placed: `whole`, where each of its stages serves; `partly`, where
 * some of it is; `gone`, where all its peers are there without it; `unknown` while a peer is missing.
 */
export function whereabouts(
  id: string,
  { stages }: Pick<LastPlacement, 'stages'>,
  cards: readonly Card[],
): 'whole' | 'partly' | 'gone' | 'unknown' {
  const shown = cards.flatMap((card) => card.stages.filter((stage) => stage.deployment === id));
  const isAt = (peer: string, index: number) =>
    cards.some(
      (card) =>
        card.peer === peer &&
        card.stages.some(({ deployment, stage, state }) => deployment === id && stage === index && state === 'ready'),
    );
  if (stages.every(({ peer }, index) => isAt(peer, index))) return 'whole';
  const isHere = (peer: string) => cards.some((card) => card.peer === peer && card.hardware !== undefined);
  if (!stages.every(({ peer }) => isHere(peer))) return 'unknown';
  return shown.length > 0 ? 'partly' : 'gone';
}
