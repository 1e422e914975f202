import type { DeploymentStatus, DeployRequest, UndeployOptions } from '../../deployments/index.ts';

/** What the endpoints under `/skein/v1` need from the rest of the coordinator. */
export interface AdministrationPort {
  /** A JSON-ready picture of the mesh: members' cards, deployments, traffic. */
  status(): object;
  /** See `Deployments.deploy`. */
  deploy(request: DeployRequest): Promise<DeploymentStatus>;
  /** See `Deployments.undeploy`. */
  undeploy(id: string, options: UndeployOptions): Promise<DeploymentStatus>;
}
