import type { GenerationStream } from './generation/generation.ts';
import type { TransportRequest } from './generation/request.ts';

/** A model that can be asked. */
export interface ServedModel {
  /** Name of the model in requests. */
  readonly name: string;
  /** Whether a replica is ready. If not, the first request waits while the coordinator deploys one. */
  readonly isDeployed: boolean;
}

/** A way to the models: through a coordinator, or as a member of the mesh. */
export interface Transport {
  /** Waits until something can be asked. Throws when nothing answers before the signal aborts. */
  connect(options: { readonly signal: AbortSignal }): Promise<void>;
  generate(request: TransportRequest, options: { readonly signal: AbortSignal }): GenerationStream;
  models(options: { readonly signal: AbortSignal }): Promise<readonly ServedModel[]>;
  close(): Promise<void>;
}
