import type { Activations, CacheType, DeploymentStatus } from '@skein/protocol';

/** How a deployment shall be. */
export interface DeployWish {
  /** Left out, the planner decides. */
  readonly stages?: number | undefined;
  /** Layers of each stage, from the lead on; they add up to the model's. Left out, the planner balances them. */
  readonly layers?: readonly number[] | undefined;
  /** Tokens of KV cache, shared by all sequences. */
  readonly contextTokens?: number | undefined;
  readonly sequences?: number | undefined;
  /** How keys and values are stored, default `f16`: `q8_0` takes about half of the memory, and rounds. */
  readonly cacheType?: CacheType | undefined;
  /** How hidden rows cross from stage to stage, default `f32`: `f16` takes half of the bytes, and rounds. */
  readonly activations?: Activations | undefined;
  /** Engine threads per stage; left out, each peer decides. */
  readonly threads?: number | undefined;
}

/** What to deploy. */
export interface DeployRequest extends DeployWish {
  /** Name or SHA-256 of a model that some peer holds. */
  readonly model: string;
  /** Aborting it takes the deployment down, as long as it is not ready. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the state at first and after every change. */
  readonly onProgress?: ((status: DeploymentStatus) => void) | undefined;
}

/** Where requests of a deployment go. */
export interface DeploymentRoute {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}
