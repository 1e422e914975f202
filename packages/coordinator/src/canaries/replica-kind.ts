import type { Card, DeploymentStatus } from '@skein/protocol';

/**
 * Returns a text that replicas have in common which compute the same bits: the model, the options that change an answer,
 * and the kinds of processors. Undefined while the cards do not tell those.
 */
export function replicaKind(deployment: DeploymentStatus, cards: readonly Card[]): string | undefined {
  const { model, cacheType, valueCacheType, windowedCache, activations, metadataOverrides } = deployment;
  const { ropeScaling, ropeScale, ropeFrequencyBase } = deployment;
  const { yarnOriginalContext, yarnExtrapolation, yarnAttention, yarnBetaSlow, yarnBetaFast } = deployment;
  const yarn = [yarnOriginalContext, yarnExtrapolation, yarnAttention, yarnBetaSlow, yarnBetaFast];
  const rope = [ropeScaling, ropeScale, ropeFrequencyBase, ...yarn];
  const options = [cacheType, valueCacheType, windowedCache, activations, metadataOverrides, rope];
  const processors = new Set<string>();
  for (const { peer, placement } of deployment.stages) {
    const hardware = cards.find((card) => card.peer === peer)?.hardware;
    if (hardware === undefined || placement === undefined) return undefined;
    const devices = placement.devices.map(({ name }) => name);
    processors.add(JSON.stringify([hardware.platform, hardware.cpu, placement.backend, ...devices]));
  }
  return JSON.stringify([model, options, [...processors].toSorted()]);
}
