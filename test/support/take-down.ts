import type { Coordinator } from '@skein/coordinator';
import type { DeploymentStatus } from '@skein/protocol';

/**
 * Takes down the deployments for which a condition holds, one after the other. The list is looked at anew before each,
 * since a lost deployment leaves it by itself once another one is placed for it.
 *
 * @param isToGo default: all
 */
export async function takeDown(
  { deployments }: Pick<Coordinator, 'deployments'>,
  isToGo: (deployment: DeploymentStatus) => boolean = () => true,
): Promise<void> {
  for (let next = deployments.list().find(isToGo); next !== undefined; next = deployments.list().find(isToGo))
    await deployments.undeploy(next.id);
}
