import { asWarning, Watchdog } from '@skein/mesh';
import {
  activationsSchema,
  blockSchema,
  cacheTypeSchema,
  isolated,
  sha256Schema,
  SkeinError,
  stagePhaseSchema,
  type StageLoad,
} from '@skein/protocol';
import { z } from 'zod';

import type { CallOptions } from '../client.ts';
import { Endpoint, parseAnswer, type EndpointRequest } from './endpoint.ts';
import { readEvents } from './read-events.ts';

const byteCount = z.number().nonnegative();

const stageStatusSchema = z.object({
  peer: z.string(),
  block: blockSchema,
  state: z.enum(['loading', 'ready', 'connected']),
  progress: z.object({ phase: stagePhaseSchema, doneBytes: byteCount, totalBytes: byteCount }).optional(),
  backend: z.string().optional(),
  fetchedBytes: byteCount.optional(),
  fileBytes: byteCount.optional(),
});

const deploymentSchema = z.object({
  id: z.string(),
  model: sha256Schema,
  name: z.string(),
  state: z.enum(['loading', 'connecting', 'ready', 'draining', 'failed', 'closed']),
  /** Answers that still run, and requests that wait for their turn, while it is draining. */
  running: z.number().int().nonnegative().optional(),
  /** In pipeline order: the first is the lead. */
  stages: z.array(stageStatusSchema),
  contextTokens: z.number(),
  sequences: z.number(),
  /** How keys and values are stored. */
  cacheType: cacheTypeSchema.default('f16'),
  /** How hidden rows cross from stage to stage. */
  activations: activationsSchema.default('f32'),
  /** Why the planner chose these peers and layers. */
  explanation: z.string(),
});
/** One deployment at one moment, as its coordinator describes it. Sizes in bytes. */
export type Deployment = z.infer<typeof deploymentSchema>;

const deploymentEventSchema = z.object({ deployment: deploymentSchema });
const statusSchema = z.object({ deployments: z.array(deploymentSchema) });

/** What to deploy; what is left out, the coordinator chooses. */
export interface DeploymentRequest extends Partial<
  Pick<StageLoad, 'stages' | 'contextTokens' | 'sequences' | 'cacheType' | 'activations' | 'threads'>
> {
  /** Name or SHA-256 of a model that a peer holds. */
  readonly model: string;
  /** Layers of each stage, from the lead on; they add up to the model's. */
  readonly layers?: readonly number[];
}

export interface DeployOptions extends CallOptions {
  /** Told of every change, the last one `ready`. What it throws is shown as a warning; the deployment goes on. */
  readonly onProgress?: (deployment: Deployment) => void;
}

export interface UndeployOptions extends CallOptions {
  /** Cuts the answers that run instead of letting them end. Default false. */
  readonly now?: boolean | undefined;
  /** Told of every change, the last one `closed`. */
  readonly onProgress?: (deployment: Deployment) => void;
}

/** Asks a coordinator to run models. */
export interface Coordinator {
  /**
   * Puts a model on peers and waits until it serves. Aborting takes it down again. Throws `not-running`,
   * `model-not-found`, `does-not-fit`, `split-unsupported`, `no-peers`, `aborted`, ...; `deadline-exceeded` when nothing
   * is heard for five minutes.
   */
  deploy(request: DeploymentRequest, options?: DeployOptions): Promise<Deployment>;
  /** The deployments of this coordinator, in the order in which they were started. Throws `not-running`. */
  deployments(options?: CallOptions): Promise<readonly Deployment[]>;
  /**
   * Takes a deployment down: it gets no more requests, and is gone when those that run have ended, or at once with `now`.
   * Resolves then. Aborting ends the wait alone. Throws `not-found` where there is none of that id, `peer-lost`, `aborted`.
   */
  undeploy(id: string, options?: UndeployOptions): Promise<void>;
}

/** Loading a large model from a slow disk says nothing for minutes. Node's fetch gives up after as many. */
const silenceMs = 300_000;
interface FollowRequest extends Pick<EndpointRequest, 'method' | 'body'> {
  readonly watchdog: Watchdog;
  readonly onProgress: ((deployment: Deployment) => void) | undefined;
}

/** A list comes from memory. */
const answerMs = 10_000;

/** @param options.url of the coordinator, e.g. `http://127.0.0.1:7331` */
export function openCoordinator(options: { readonly url: string }): Coordinator {
  const endpoint = new Endpoint(options.url);

  /** Follows a change of a deployment to its end. Undefined when the stream ends without a word. */
  async function follow(
    path: string,
    { watchdog, onProgress, ...request }: FollowRequest,
  ): Promise<Deployment | undefined> {
    try {
      watchdog.expect(silenceMs, 'nothing was heard of the deployment');
      const accept = 'text/event-stream';
      const response = await endpoint.fetch(path, { ...request, accept, signal: watchdog.signal });
      const report = isolated(onProgress ?? (() => undefined), asWarning);
      let latest: Deployment | undefined;
      for await (const event of readEvents(response, { hasEndMark: false })) {
        watchdog.expect(silenceMs, 'nothing was heard of the deployment');
        latest = parseAnswer(deploymentEventSchema, event).deployment;
        report(latest);
      }
      return latest;
    } catch (error) {
      throw watchdog.explain(error);
    }
  }

  return {
    async deploy(request, { signal, onProgress } = {}) {
      using watchdog = new Watchdog(signal);
      const wanted = { method: 'POST', body: request } as const;
      const latest = await follow('/skein/v1/deployments', { ...wanted, watchdog, onProgress });
      if (latest?.state === 'ready') return latest;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the model was ready; see that `skein up` runs there, and deploy again',
      );
    },
    async deployments({ signal } = {}) {
      using watchdog = new Watchdog(signal);
      watchdog.expect(answerMs, 'the coordinator did not answer');
      try {
        const wanted = { schema: statusSchema, signal: watchdog.signal };
        return (await endpoint.get('/skein/v1/status', wanted)).deployments;
      } catch (error) {
        throw watchdog.explain(error);
      }
    },
    async undeploy(id, { signal, now = false, onProgress } = {}) {
      using watchdog = new Watchdog(signal);
      const path = `/skein/v1/deployments/${encodeURIComponent(id)}?now=${now}`;
      const latest = await follow(path, { method: 'DELETE', watchdog, onProgress });
      if (latest?.state === 'closed') return;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the deployment was taken down; nothing of it is left once its daemon has ended',
      );
    },
  };
}
