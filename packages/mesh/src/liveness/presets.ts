/** The pause between heartbeats of a member, and the silence after which others count as dead. In milliseconds. */
export interface LivenessTimes {
  readonly beatMs: number;
  readonly deadAfterMs: number;
}

/**
 * Times by the worst link that members are on. Lost data comes again after 0.2 s, 0.4 s, 0.8 s and so on, as TCP
 * retransmits. The longest pause is half of the shortest silence, so that members with different presets get along.
 */
export const livenessPresets = Object.freeze({
  /** All on one machine: nothing gets lost, and only the scheduler delays. */
  local: { beatMs: 200, deadAfterMs: 1000 },
  /** Cables and switches: a heartbeat may be lost twice in a row. */
  lan: { beatMs: 300, deadAfterMs: 1200 },
  /** Power saving, and roaming from one access point to another: a heartbeat may be lost four times in a row. */
  wifi: { beatMs: 500, deadAfterMs: 4000 },
} as const satisfies Record<string, LivenessTimes>);

export type LivenessPreset = keyof typeof livenessPresets;
