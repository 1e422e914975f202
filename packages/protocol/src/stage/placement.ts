import { z } from 'zod';

import { arraySchema } from '../codec/array-schema.ts';
import { limits } from '../limits.ts';

const shortText = z.string().max(256);

/** Most GPUs that one machine lists and one stage lies on. */
export const maxGpus = 16;

/** The memory in which a loaded stage lies, as its engine placed it. */
export const stagePlacementSchema = z.object({
  /** `cpu`, `cuda`, `vulkan` or `metal`. */
  backend: z.string().max(32),
  /** GPUs that hold some of it. Empty where the CPU computes all. */
  devices: arraySchema(
    z.object({
      name: shortText,
      /** Number of the stage's layers on it. */
      layers: z.number().int().nonnegative().max(limits.maxLayers),
      /** Weights, keys and values on it. */
      bytes: z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER),
    }),
    { most: maxGpus },
  ),
  /** Number of its layers that the CPU computes, in main memory. */
  cpuLayers: z.number().int().nonnegative().max(limits.maxLayers),
  /** Number of layers on GPUs whose experts lie in main memory, where the CPU computes them. Default: none. */
  expertLayers: z.number().int().nonnegative().max(limits.maxLayers).optional(),
  /** Things that did not go as wished, one sentence each: an older build of the backend, fewer layers than planned. */
  fallbacks: arraySchema(shortText, { most: 8 }),
});
export type StagePlacement = z.infer<typeof stagePlacementSchema>;

/** Returns the bytes of a placed stage that lie in the memory of GPUs. */
export function placedDeviceBytes({ devices }: StagePlacement): number {
  return devices.reduce((sum, { bytes }) => sum + bytes, 0);
}
