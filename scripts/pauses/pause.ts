/** A way in which a replica is lost, and the replicas that are left. */
export interface PauseCase {
  readonly key: string;
  readonly title: string;
  /** Replicas that serve before, and stages of each. */
  readonly replicas: number;
  readonly stages: number;
  readonly action: 'kill-engine' | 'kill-last-engine' | 'kill-peer' | 'drain';
  /** Whether no replica is left, so that something has to be loaded while the reader waits. */
  readonly isAlone: boolean;
}

/** Returns the tokens of the answer in a case: while a machine is drained it goes on until its replacement has read it. */
export function answerTokensIn({ action }: PauseCase): number {
  return action === 'drain' ? 1600 : 320;
}

/** The cases in the order in which they are measured: a killed peer takes longest to come back. */
export const pauseCases: readonly PauseCase[] = [
  {
    key: 'engineWithReplica',
    title: 'engine killed, another replica left',
    replicas: 2,
    stages: 1,
    action: 'kill-engine',
    isAlone: false,
  },
  {
    key: 'peerWithReplica',
    title: 'peer killed, another replica left',
    replicas: 2,
    stages: 1,
    action: 'kill-peer',
    isAlone: false,
  },
  { key: 'drain', title: 'machine drained, no other replica', replicas: 1, stages: 1, action: 'drain', isAlone: false },
  {
    key: 'drainWithReplica',
    title: 'machine drained, another replica left',
    replicas: 2,
    stages: 1,
    action: 'drain',
    isAlone: false,
  },
  {
    key: 'engineAlone',
    title: 'engine killed, no replica left',
    replicas: 1,
    stages: 1,
    action: 'kill-engine',
    isAlone: true,
  },
  {
    key: 'peerAlone',
    title: 'peer killed, no replica left',
    replicas: 1,
    stages: 1,
    action: 'kill-peer',
    isAlone: true,
  },
  {
    key: 'lastStage',
    title: 'engine of the second of two stages killed',
    replicas: 1,
    stages: 2,
    action: 'kill-last-engine',
    isAlone: true,
  },
];

/** One measured pause. */
export interface PauseSample {
  /** Longest time without text as the reader saw it, after the fault, in milliseconds. */
  readonly pauseMs: number;
  /** The coordinator's own figure, from the usage. A drain has none: its answer is not read to its end. */
  readonly toldMs?: number;
  /**
   * Time to the first token of a fresh request as long as what was to be read again, in milliseconds, on an idle replica:
   * what the pause contains where nobody has read it along. The rest is detection, choice and loading. Only the first sample
   * of a case has it.
   */
  readonly replayMs?: number;
}
