import type { Activations, Block, CacheType, StagePhase, WireError } from '@skein/protocol';

/**
 * `loading`: stages fetch and load. `connecting`: all are ready, the ring is being closed. `ready`: it serves.
 * `draining`: it is being taken down, ends the answers that run and takes no more requests. `failed`: it lost a stage or
 * never got ready; nothing of it is left on the peers. `closed`: taken down on request.
 */
export type DeploymentState = 'loading' | 'connecting' | 'ready' | 'draining' | 'failed' | 'closed';

/** One stage, as its peer last reported it. Sizes in bytes. */
export interface StageStatus {
  readonly peer: string;
  readonly block: Block;
  /** Memory that the planner expects it to take. */
  readonly plannedBytes: number;
  readonly state: 'loading' | 'ready' | 'connected';
  /** What it is at and how far, while it is loading. */
  readonly progress?: { readonly phase: StagePhase; readonly doneBytes: number; readonly totalBytes: number };
  /** Once ready: `cpu`, `cuda`, `vulkan` or `metal`. */
  readonly backend?: string;
  /** Once ready: what came over the mesh. 0: all was on disk. */
  readonly fetchedBytes?: number;
  /** Once ready: size of what was loaded. */
  readonly fileBytes?: number;
}

/** One deployment at one moment, ready for JSON. */
export interface DeploymentStatus {
  readonly id: string;
  /** SHA-256 of the model. */
  readonly model: string;
  readonly name: string;
  readonly state: DeploymentState;
  /** Why it failed. */
  readonly error?: WireError;
  /** Answers that still run, and requests that wait for their turn, while it is draining. */
  readonly running?: number;
  /** In pipeline order: the first is the lead. */
  readonly stages: readonly StageStatus[];
  /** Tokens of KV cache, shared by all sequences. */
  readonly contextTokens: number;
  readonly sequences: number;
  /** How keys and values are stored. */
  readonly cacheType: CacheType;
  /** How hidden rows cross from stage to stage. */
  readonly activations: Activations;
  /** Why the planner chose these peers and layers. */
  readonly explanation: string;
  /** Milliseconds since 1970. */
  readonly startedAt: number;
}
