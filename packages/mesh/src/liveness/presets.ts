/** How often a member shows that it is alive, and how long it waits for the others to. In milliseconds. */
export interface LivenessTimes {
  readonly beatMs: number;
  readonly deadAfterMs: number;
}

/**
 * By the worst link that members are on. What is lost on the way comes again after 0.2 s, 0.4 s, 0.8 s and so on, as TCP
 * retransmits. The longest beat is half of the shortest wait, so that members with different presets get along.
 */
export const livenessPresets = Object.freeze({
  /** All on one machine: nothing gets lost, and only the scheduler delays. */
  local: { beatMs: 200, deadAfterMs: 1000 },
  /** Cables and switches: a beat may be lost twice in a row. */
  lan: { beatMs: 300, deadAfterMs: 1200 },
  /** Power saving, and roaming from one access point to another: a beat may be lost four times in a row. */
  wifi: { beatMs: 500, deadAfterMs: 4000 },
} as const satisfies Record<string, LivenessTimes>);

export type LivenessPreset = keyof typeof livenessPresets;
