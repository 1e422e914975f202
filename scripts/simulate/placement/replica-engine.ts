import { invariant } from '@skein/protocol';

import { stageMemory } from '../../../packages/coordinator/src/planner/block-costs.ts';
import { memoryUses } from '../../../packages/coordinator/src/planner/memory-uses.ts';
import { linksOf } from '../../../packages/coordinator/src/planner/performance/links.ts';
import { predict } from '../../../packages/coordinator/src/planner/performance/predict.ts';
import { peerTimes } from '../../../packages/coordinator/src/planner/performance/stage-time.ts';
import { usablePeers } from '../../../packages/coordinator/src/planner/usable-peers.ts';
import type { EngineSpec } from '../fleet/engine.ts';
import type { Office } from './offices.ts';
import type { Placement } from './placers.ts';

/** A placed replica, as fast as Skein's planner predicts it, whoever placed it. */
export interface PlacedReplica {
  readonly engine: EngineSpec;
  readonly oneStreamTokensPerSecond: number;
  readonly saturatedTokensPerSecond: number;
}

/** Returns how fast a replica is. Stages lie on the GPU of their machine as far as that has room, whoever placed them. */
export function replicaEngine(placement: Placement, { cards, manifest, spec }: Office): PlacedReplica {
  const { shape } = manifest;
  const peers = usablePeers(cards, { model: manifest.model, placed: [] });
  const memory = stageMemory(manifest, spec);
  const use = invariant(memoryUses(peers, manifest, { memory, spec }).at(-1), 'all memory is a way to use it');
  const timesOf = peerTimes(manifest);
  const chosen = placement.map(({ peer, block }) => {
    return {
      block,
      peer: invariant(
        peers.find((one) => one.peer === peer),
        'a stage lies on a machine',
      ),
    };
  });
  const rows = Math.min(...chosen.map(({ peer }) => peer.microBatchRows));
  const { oneStreamTokensPerSecond, saturatedTokensPerSecond, prefillTokensPerSecond } = predict({
    stages: chosen.map(({ peer, block }) => {
      const { timeOf, isMeasured } = timesOf(peer);
      return { peer: peer.peer, time: timeOf(block, use.layout(block, peer)), isMeasured };
    }),
    linkOf: linksOf(cards),
    shape,
    spec,
    microBatchRows: rows,
  });
  const { sequences, contextTokens } = spec;
  const msPerToken = 1000 / prefillTokensPerSecond;
  const roundMs = (1000 * sequences) / saturatedTokensPerSecond;
  const stepMs = Math.max(1, roundMs - sequences * msPerToken);
  const engine = { msPerToken, stepMs, rows, sequences, cacheTokens: contextTokens };
  return { engine, oneStreamTokensPerSecond, saturatedTokensPerSecond };
}
