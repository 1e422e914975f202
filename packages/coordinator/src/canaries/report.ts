import type { DeploymentStatus, Logger } from '@skein/protocol';

import type { AuditEvent } from '../audit/index.ts';
import type { Verdict } from './judge.ts';

/** A replica's verdict, when it has become another one. */
export interface CanaryReport {
  readonly deployment: DeploymentStatus;
  readonly verdict: Verdict;
}

/** Makes the audit log's event for a verdict. */
export function canaryEvent({ deployment, verdict }: CanaryReport): AuditEvent {
  const { id, name, model, stages } = deployment;
  return { type: 'canary', verdict, deployment: id, model: name, sha256: model, peers: stages.map(({ peer }) => peer) };
}

/** Tells the operator of a verdict, and what to do about it. */
export function logVerdict(logger: Logger, { deployment, verdict }: CanaryReport): void {
  const { id, name, stages } = deployment;
  const facts = { deployment: id, model: name, peers: stages.map(({ peer }) => peer) };
  switch (verdict) {
    case 'out':
      return logger.error(
        facts,
        'a replica gives other answers than those like it, and gets no more requests; it is replaced on other machines and taken down: pull the model again on its own, and deploy it there',
      );
    case 'doubted':
      return logger.warn(
        facts,
        'replicas that should answer alike do not, and it is not known which of them is wrong; deploy one more, or pull the model again on their machines',
      );
    case 'sound':
      return logger.info(facts, 'the replica answers like the others again');
  }
}
