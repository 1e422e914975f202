import { asWarning, Watchdog } from '@skein/mesh';
import {
  adminRoutes,
  isolated,
  SkeinError,
  type AdminRoutes,
  type DeploymentRequest,
  type DeploymentStatus,
  type EventOf,
} from '@skein/protocol';

import type { CallOptions } from '../client.ts';
import { AdminClient, type AdminClientOptions } from './admin-client.ts';

/** One deployment at one moment, as its coordinator describes it. Sizes in bytes. */
export type Deployment = DeploymentStatus;

export interface DeployOptions extends CallOptions {
  /**
   * Whether to add no replica where one that is as asked serves or is about to, and to wait for that one. Default false.
   */
  readonly unlessServed?: boolean | undefined;
  /** Called at every change, the last one being `ready`. Its errors are shown as warnings; the deployment goes on. */
  readonly onProgress?: (deployment: Deployment) => void;
}

export interface UndeployOptions extends CallOptions {
  /** Whether to cut the answers that run instead of letting them end. Default false. */
  readonly now?: boolean | undefined;
  /** Called at every change, the last one being `closed`. */
  readonly onProgress?: (deployment: Deployment) => void;
}

/** A coordinator that runs models. */
export interface Coordinator {
  /**
   * Puts a model on peers and waits until it serves. Aborting takes it down again, unless it was there already.
   *
   * @throws SkeinError `not-running`, `model-not-found`, `does-not-fit`, `split-unsupported`, `no-peers`, `aborted` and
   * others; `deadline-exceeded` when nothing is heard for five minutes
   */
  deploy(request: DeploymentRequest, options?: DeployOptions): Promise<Deployment>;
  /**
   * Lists the deployments of this coordinator, in the order in which they were started.
   *
   * @throws SkeinError `not-running` when nothing answers, `deadline-exceeded` after ten seconds, `aborted`
   */
  deployments(options?: CallOptions): Promise<readonly Deployment[]>;
  /**
   * Takes a deployment down: it gets no more requests, and is gone when those that run have ended, or at once with
   * `now`. Resolves then. Aborting ends only the wait.
   *
   * @throws SkeinError `not-found` when there is none of that id, `peer-lost`, `aborted`
   */
  undeploy(id: string, options?: UndeployOptions): Promise<void>;
}

/**
 * Longest silence of a change, in milliseconds. Loading a large model from a slow disk is silent for minutes. Node's
 * fetch gives up after as many.
 */
const silenceMs = 300_000;
/** Longest wait for a list, in milliseconds: it comes from memory. */
const answerMs = 10_000;

/**
 * Opens a coordinator by the URL of its API, e.g. `http://127.0.0.1:7331`. Sends nothing yet.
 *
 * @param options.fetch another way there than TCP. Default: the platform's `fetch`
 * @throws SkeinError `invalid-request` for a malformed URL
 */
export function openCoordinator(options: AdminClientOptions): Coordinator {
  const client = new AdminClient(options);

  /** Follows a change of a deployment to its end. Undefined when the stream ends without a word. */
  async function follow(
    change: (signal: AbortSignal) => AsyncIterable<EventOf<AdminRoutes['deploy' | 'undeploy']>>,
    { signal, onProgress }: DeployOptions,
  ): Promise<Deployment | undefined> {
    using watchdog = new Watchdog(signal);
    try {
      watchdog.expect(silenceMs, 'nothing was heard of the deployment');
      const report = isolated(onProgress ?? (() => undefined), asWarning);
      let latest: Deployment | undefined;
      for await (const { deployment } of change(watchdog.signal)) {
        watchdog.expect(silenceMs, 'nothing was heard of the deployment');
        latest = deployment;
        report(latest);
      }
      return latest;
    } catch (error) {
      throw watchdog.explain(error);
    }
  }

  return {
    async deploy(request, { unlessServed, ...options } = {}) {
      const asked = { ...request, unlessServed };
      const latest = await follow((signal) => client.follow(adminRoutes.deploy, asked, { signal }), options);
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
        return (await client.ask(adminRoutes.status, {}, { signal: watchdog.signal })).deployments;
      } catch (error) {
        throw watchdog.explain(error);
      }
    },
    async undeploy(id, { now = false, ...options } = {}) {
      const request = { id, now: now ? 'true' : 'false' } as const;
      const latest = await follow((signal) => client.follow(adminRoutes.undeploy, request, { signal }), options);
      if (latest?.state === 'closed') return;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the deployment was taken down; nothing of it is left once its daemon has ended',
      );
    },
  };
}
