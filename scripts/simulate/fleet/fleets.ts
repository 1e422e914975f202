import type { EngineSpec } from './engine.ts';

/** A machine with a fast GPU and a model of 8 billion parameters. */
const fast: EngineSpec = { msPerToken: 0.1, stepMs: 12, rows: 512, sequences: 32, cacheTokens: 400_000 };
const medium: EngineSpec = { msPerToken: 0.25, stepMs: 20, rows: 512, sequences: 16, cacheTokens: 200_000 };
const slow: EngineSpec = { msPerToken: 0.5, stepMs: 30, rows: 256, sequences: 8, cacheTokens: 100_000 };

function times(count: number, spec: EngineSpec): readonly EngineSpec[] {
  return Array.from({ length: count }, () => spec);
}

/** The fleets that can be simulated. */
export const fleets = {
  even: times(8, fast),
  mixed: [...times(2, fast), ...times(3, medium), ...times(3, slow)],
  many: times(1000, fast),
} as const;
export type FleetName = keyof typeof fleets;

/** Tells whether a fleet has this name. */
export function isFleetName(name: string): name is FleetName {
  return Object.hasOwn(fleets, name);
}
