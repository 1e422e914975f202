import { maxDeadAfterMs } from '@skein/protocol';

import type { StageTimeouts } from './stage-link.ts';

/** Longest waits, in milliseconds. */
export interface DeploymentTimeouts extends StageTimeouts {
  /**
   * For the loss of a replica to be noticed after a request to it has failed. Default 11,000: the longest that a member may
   * be silent before it counts as lost, and the checks for that. Waited in full only for a replica that fails requests but
   * is not lost.
   */
  readonly lossNoticeMs: number;
  /**
   * For cards to show no more stages of replicas that are over, before a plan is made. Default 8,000: peers release
   * theirs within a moment, and a member that is gone leaves the cards after six seconds at most.
   */
  readonly releaseMs: number;
  /**
   * For the deployment of the coming model to begin, before requests for it are told to come again. Default 10,000: where
   * the model is held it begins within a moment, and getting it may take hours.
   */
  readonly comingMs: number;
  /**
   * For peers with GPUs to look at their memory, before a plan is made with what their last cards say. Default 5,000: a look
   * takes a process that loads the driver, a second or two.
   */
  readonly freshCardMs: number;
  /**
   * For cards to show a replica that serves, before another one hands its answers over to it. Default 2,000: cards travel
   * within a moment, and requests to this coordinator need none.
   */
  readonly shownMs: number;
  /**
   * For the peers of a deployment of an earlier coordinator to be seen, before it is placed anew. Default 30,000: members
   * that are there are met within moments, and dialled again twice by then.
   */
  readonly returnMs: number;
}

/** Waits that nobody has set otherwise. */
export const defaultTimeouts: DeploymentTimeouts = {
  loadStallMs: 120_000,
  connectMs: 30_000,
  closeMs: 5000,
  leaveMs: 600_000,
  lossNoticeMs: maxDeadAfterMs + 1000,
  releaseMs: 8000,
  comingMs: 10_000,
  freshCardMs: 5000,
  shownMs: 2000,
  returnMs: 30_000,
};
