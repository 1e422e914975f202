import type { DeploymentRequest, DeploymentStatus } from '@skein/protocol';

/** A request to deploy a model, with a signal and an observer. */
export interface DeployRequest extends DeploymentRequest {
  /** Takes the deployment down when it aborts, as long as it is not ready. */
  readonly signal?: AbortSignal | undefined;
  /** Called with the state at first and after every change. */
  readonly onProgress?: ((status: DeploymentStatus) => void) | undefined;
}

/** The target of a deployment's requests. */
export interface DeploymentRoute {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}
