import type { DeploymentRequest, DeploymentStatus } from '@skein/protocol';

/** A request to deploy a model, and whom to tell. */
export interface DeployRequest extends DeploymentRequest {
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
