import type { Coordinator, Deployment, DeploymentRequest } from '@skein/client';
import {
  describeScaling,
  fromWireError,
  machineName,
  type Card,
  type ScalingRequest,
  type SkeinError,
} from '@skein/protocol';

import { formatLayers } from '../output/format.ts';
import { deploymentsOf } from '../overview/deployments.ts';
import { createProgress, type Step } from '../output/progress.ts';
import type { CommandContext } from '../program/context.ts';

/**
 * Deploys a model, with progress on stderr: the bytes of all stages that are in the same phase as the slowest.
 *
 * @throws SkeinError as {@link Coordinator.deploy} does
 */
export async function deployModel(
  {
    coordinator,
    request,
    unlessServed = false,
    wait = false,
    scaling,
    onWait = () => undefined,
  }: {
    readonly coordinator: Coordinator;
    readonly request: DeploymentRequest;
    /** Whether to add no replica where one that is as asked is there or coming. */
    readonly unlessServed?: boolean;
    /** Whether it stays to be deployed where it can't be placed yet. */
    readonly wait?: boolean;
    /** Terms by which its replicas come and go. Default: those of before. */
    readonly scaling?: ScalingRequest;
    /** Called with the reason for which it can't be placed yet, once for each in a row. */
    readonly onWait?: (error: SkeinError) => void;
  },
  { stderr, signal }: Pick<CommandContext, 'stderr' | 'signal'>,
): Promise<Deployment> {
  using progress = createProgress(stderr, { signal });
  let said: string | undefined;
  const onProgress = ({ stages, state, error }: Deployment) => {
    if (state === 'waiting' && error !== undefined && error.message !== said) {
      said = error.message;
      onWait(fromWireError(error));
    }
    const step = stepOf(stages);
    if (step !== undefined) progress.show(step);
  };
  const deployment = await coordinator.deploy(request, { signal, onProgress, unlessServed, wait, scaling });
  progress.complete();
  return deployment;
}

/**
 * Returns the phase of the slowest stages, and the progress of all in it. Loaded stages count as done with the last
 * phase. Undefined when there are none.
 */
export function stepOf(stages: Deployment['stages']): Step | undefined {
  const steps = stages.flatMap(({ progress, fileBytes }) => {
    if (progress !== undefined) return [progress];
    return fileBytes === undefined ? [] : [{ phase: 'load' as const, doneBytes: fileBytes, totalBytes: fileBytes }];
  });
  for (const phase of ['fetch', 'cut', 'load'] as const) {
    const here = steps.filter((step) => step.phase === phase);
    if (here.length === 0) continue;
    const sum = (key: 'doneBytes' | 'totalBytes') => here.reduce((total, step) => total + step[key], 0);
    return { label: `${phase} layers`, doneBytes: sum('doneBytes'), totalBytes: sum('totalBytes') };
  }
  return undefined;
}

/** Formats a deployment for people: its machines with their layers, and its id among the model's replicas. */
export function describeDeployment(deployment: Deployment, cards: readonly Card[]): string {
  const { name, model, id, stages, replicas, idleMs, pinned, standby } = deployment;
  const lines = stages.map(({ peer, block }) => `  ${formatLayers(block)} on ${machineName(cards, peer)}`);
  const others = deploymentsOf(cards).filter(
    (other) => other.model === model && other.isReady && !other.isStandby && other.id !== id,
  );
  const count =
    others.length === 0
      ? []
      : [`this is replica ${others.length + 1} of ${name}; \`skein undeploy ${id}\` takes it down again`];
  const terms = pinned === undefined ? '' : describeScaling({ replicas, idleMs, pinned, standby });
  // It is loaded after the replica.
  const where = (standby ?? 0) > 0 ? '; `skein status` shows where' : '';
  return [`${name} is deployed (${id}):`, ...lines, ...count, ...(terms === '' ? [] : [`  ${terms}${where}`])].join(
    '\n',
  );
}
