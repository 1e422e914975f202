import { asWarning, Watchdog } from '@skein/mesh';
import {
  adminRoutes,
  isolated,
  SkeinError,
  type DeploymentRequest,
  type ScalingRequest,
  type DeploymentStatus,
  type DrainStatus,
  type PlanAnswer,
  type PlanRequest,
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
  /**
   * Whether the model stays to be deployed where it can't be placed yet, for want of machines, memory or the model, and is
   * placed when that has changed. Aborting ends the wait alone then. Default false.
   */
  readonly wait?: boolean | undefined;
  /**
   * Terms by which the model's replicas come and go from now on: their number, the time after which idle ones are taken
   * down, and whether they make room for other models. Default: one more replica for good, and no change of terms.
   */
  readonly scaling?: ScalingRequest | undefined;
  /** Called at every change, the last one being `ready`. Its errors are shown as warnings; the deployment goes on. */
  readonly onProgress?: (deployment: Deployment) => void;
}

export interface UndeployOptions extends CallOptions {
  /** Whether to cut the answers that run instead of letting them end. Default false. */
  readonly now?: boolean | undefined;
  /** Called at every change, the last one being `closed`. */
  readonly onProgress?: (deployment: Deployment) => void;
}

export interface DrainOptions extends CallOptions {
  /** Whether deployments without room elsewhere are taken down when their answers have ended. Default: it is refused. */
  readonly force?: boolean | undefined;
  /** Called at every change. */
  readonly onProgress?: (status: DrainStatus) => void;
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
  /**
   * Drains a machine: it takes no more stages, and this coordinator's deployments there move to others. Resolves when
   * they have. Aborting ends only the wait.
   *
   * @throws SkeinError `not-found` for a machine that does not serve, `does-not-fit` or `no-peers` where a deployment has
   * no room elsewhere, `peer-lost`, `aborted`
   */
  drain(peer: string, options?: DrainOptions): Promise<DrainStatus>;
  /**
   * Plans a deployment without making it, on the mesh as it is, or with machines added and removed. Where there is no plan,
   * the answer has the `problem`.
   *
   * @throws SkeinError `model-not-found`, `invalid-request`, `not-running`, `deadline-exceeded`, `aborted`
   */
  plan(request: PlanRequest, options?: CallOptions): Promise<PlanAnswer>;
  /** Has a drained machine take stages again. Throws as {@link drain} does. */
  undrain(peer: string, options?: CallOptions): Promise<void>;
}

/**
 * Longest silence of a change, in milliseconds. Loading a large model from a slow disk is silent for minutes. Node's
 * fetch gives up after as many.
 */
const silenceMs = 300_000;
/** Longest wait for an answer, in milliseconds: a list comes from memory, and a member nearby writes a small file. */
const answerMs = 10_000;

/**
 * Opens a coordinator by the URL of its API, e.g. `http://127.0.0.1:7331`. Sends nothing yet.
 *
 * @param options.fetch another way there than TCP. Default: the platform's `fetch`
 * @throws SkeinError `invalid-request` for a malformed URL
 */
export function openCoordinator(options: AdminClientOptions): Coordinator {
  const client = new AdminClient(options);

  /** Follows a change to its end, and returns its last event. Undefined when the stream ends without a word. */
  async function follow<Event>(
    change: (signal: AbortSignal) => AsyncIterable<Event>,
    { signal, onEvent = () => undefined }: CallOptions & { readonly onEvent?: ((event: Event) => void) | undefined },
  ): Promise<Event | undefined> {
    using watchdog = new Watchdog(signal);
    try {
      watchdog.expect(silenceMs, 'nothing was heard of the deployment');
      const report = isolated(onEvent, asWarning);
      let latest: Event | undefined;
      for await (const event of change(watchdog.signal)) {
        watchdog.expect(silenceMs, 'nothing was heard of the deployment');
        latest = event;
        report(event);
      }
      return latest;
    } catch (error) {
      throw watchdog.explain(error);
    }
  }

  /** Waits for an answer that comes from memory, or from a member nearby. */
  async function inTime<Answer>(
    signal: AbortSignal | undefined,
    ask: (signal: AbortSignal) => Promise<Answer>,
  ): Promise<Answer> {
    using watchdog = new Watchdog(signal);
    watchdog.expect(answerMs, 'the coordinator did not answer');
    try {
      return await ask(watchdog.signal);
    } catch (error) {
      throw watchdog.explain(error);
    }
  }

  return {
    async deploy(request, { unlessServed, wait, scaling, signal, onProgress } = {}) {
      const asked = { ...request, ...scaling, unlessServed, wait };
      const latest = await follow((inner) => client.follow(adminRoutes.deploy, asked, { signal: inner }), {
        signal,
        onEvent: ({ deployment }) => onProgress?.(deployment),
      });
      if (latest?.deployment.state === 'ready') return latest.deployment;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the model was ready; see that `skein up` runs there, and deploy again',
      );
    },
    async deployments({ signal } = {}) {
      const ask = async (inner: AbortSignal) => await client.ask(adminRoutes.status, {}, { signal: inner });
      return (await inTime(signal, ask)).deployments;
    },
    async undeploy(id, { now = false, signal, onProgress } = {}) {
      const request = { id, now: now ? 'true' : 'false' } as const;
      const latest = await follow((inner) => client.follow(adminRoutes.undeploy, request, { signal: inner }), {
        signal,
        onEvent: ({ deployment }) => onProgress?.(deployment),
      });
      if (latest?.deployment.state === 'closed') return;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the deployment was taken down; nothing of it is left once its daemon has ended',
      );
    },
    async drain(peer, { force, signal, onProgress } = {}) {
      const latest = await follow((inner) => client.follow(adminRoutes.drain, { peer, force }, { signal: inner }), {
        signal,
        onEvent: onProgress,
      });
      if (latest?.moves.every(({ step }) => step === 'gone') === true) return latest;
      throw new SkeinError(
        'peer-lost',
        'the coordinator went away before the machine was drained; it takes no more stages: run the same again',
      );
    },
    async plan(request, { signal } = {}) {
      return await inTime(signal, async (inner) => await client.ask(adminRoutes.plan, request, { signal: inner }));
    },
    async undrain(peer, { signal } = {}) {
      await inTime(signal, async (inner) => await client.ask(adminRoutes.undrain, { peer }, { signal: inner }));
    },
  };
}
