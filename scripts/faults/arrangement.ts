import { setTimeout as delay } from 'node:timers/promises';

import { AdminClient, openCoordinator, type DeploymentRequest, type Fetch } from '@skein/client';
import { adminRoutes, type DeploymentStatus, type MeshStatus } from '@skein/protocol';

import type { RunModel } from './models.ts';

const intervalMs = 100;
/** The coordinator is reached by another way than TCP. */
const url = 'http://localhost';
/** Tokens for eight answers at once of the longest requests. */
const roomy = { contextTokens: 12_288, sequences: 8 };

/** The desired deployments and peers. */
export interface Arrangement {
  /** A way to the coordinator. */
  readonly fetch: Fetch;
  readonly peers: readonly string[];
  readonly models: readonly RunModel[];
}

/**
 * Restores the arrangement as an operator would: waits for missing peers, completes the deployments, and takes down
 * those that requests have made in another way, once their answers have ended. When the signal aborts, throws the
 * difference that is left.
 */
export async function restore({ fetch, peers, models }: Arrangement, signal: AbortSignal): Promise<void> {
  let wrong = 'the coordinator does not answer';
  try {
    for (;;) {
      const status = await statusOf(fetch, signal).catch(() => undefined);
      const step = status === undefined ? undefined : stepTowards(status, { peers, models });
      if (step === 'done') return;
      if (step !== undefined) {
        wrong = step.wrong;
        await step.act?.(fetch, signal).catch((error: unknown) => (wrong = `${wrong}: ${String(error)}`));
      }
      await delay(intervalMs, undefined, { signal });
    }
  } catch (error) {
    throw signal.aborted ? new Error(wrong, { cause: error }) : error;
  }
}

interface Step {
  readonly wrong: string;
  /** Repairs the difference. Left out where it repairs itself. */
  readonly act?: (fetch: Fetch, signal: AbortSignal) => Promise<void>;
}

function stepTowards(
  { cards, deployments }: MeshStatus,
  { peers, models }: Pick<Arrangement, 'peers' | 'models'>,
): Step | 'done' {
  const missing = peers.filter((peer) => !cards.some((card) => card.peer === peer && card.hardware !== undefined));
  if (missing.length > 0) return { wrong: `${missing.length} peers are not there` };
  const held = new Set(cards.flatMap((card) => card.models.map(({ name }) => name)));
  const unheld = models.find(({ name }) => !held.has(name));
  if (unheld !== undefined) return { wrong: `nobody holds ${unheld.name}` };
  for (const model of models) {
    const own = deployments.filter(({ name, state }) => name === model.name && state !== 'failed');
    const changing = own.find(({ state }) => state !== 'ready');
    if (changing !== undefined) {
      const why = changing.error === undefined ? '' : `: ${changing.error.message}`;
      return { wrong: `${model.name} is ${changing.state}${why}` };
    }
    const wanted = asWanted(own, model);
    if (wanted.length < model.replicas) {
      const body = { model: model.name, stages: model.stages, ...roomy };
      return { wrong: `${model.name} lacks a replica`, act: async (...to) => await deploy(body, ...to) };
    }
    const extra = own.find((deployment) => !wanted.includes(deployment));
    if (extra !== undefined) {
      return { wrong: `${model.name} has a replica too many`, act: async (...to) => await undeploy(extra.id, ...to) };
    }
  }
  return 'done';
}

/** Returns the replicas that are as desired: of so many stages, and no two on one peer. */
function asWanted(own: readonly DeploymentStatus[], { stages, replicas }: RunModel): readonly DeploymentStatus[] {
  const wanted: DeploymentStatus[] = [];
  for (const deployment of own) {
    const isElsewhere = wanted.every((other) => other.stages[0]?.peer !== deployment.stages[0]?.peer);
    if (deployment.stages.length === stages && isElsewhere && wanted.length < replicas) wanted.push(deployment);
  }
  return wanted;
}

/**
 * Returns the mesh as its coordinator sees it.
 *
 * @throws SkeinError as {@link AdminClient} does
 */
export async function statusOf(fetch: Fetch, signal: AbortSignal): Promise<MeshStatus> {
  return await new AdminClient({ url, fetch }).ask(adminRoutes.status, {}, { signal });
}

async function deploy(request: DeploymentRequest, fetch: Fetch, signal: AbortSignal): Promise<void> {
  await openCoordinator({ url, fetch }).deploy(request, { signal });
}

/**
 * Takes a deployment down, once its answers have ended.
 *
 * @throws SkeinError as `Coordinator.undeploy` does
 */
export async function undeploy(id: string, fetch: Fetch, signal: AbortSignal): Promise<void> {
  await openCoordinator({ url, fetch }).undeploy(id, { signal });
}
