import { throwIfAborted, untilAborted, type FrameStream, type Mesh, type Remote } from '@skein/mesh';
import {
  isSkeinError,
  maxFailedDeployments,
  methods,
  parseHeader,
  placeAnswerSchema,
  placeRequestSchema,
  SkeinError,
  type DeploymentRequest,
  type DeploymentStatus,
  type DrainStatus,
  type Lease,
  type Logger,
  type PlaceAnswer,
  type PlaceRequest,
  type PlanAnswer,
  type PlanRequest,
} from '@skein/protocol';

import type {
  ComingModel,
  DeploymentRoute,
  Deployments,
  DeployOptions,
  DrainOptions,
  EnsureOptions,
  UndeployOptions,
} from '../deployments/index.ts';
import type { Schedule } from '../timers.ts';
import type { LeaseKeeper } from './lease-keeper.ts';

export interface PlacerComponents {
  readonly mesh: Pick<Mesh, 'handle' | 'open'>;
  readonly keeper: Pick<LeaseKeeper, 'followed' | 'onChange' | 'tenure'>;
  /** Makes the deployments of one tenure, which place by its lease. */
  readonly createDeployments: (tenure: Tenure) => Deployments;
  /** The model that this machine was started with, if any: another coordinator may be the one that deploys it. */
  readonly coming?: Pick<ComingModel, 'awaited' | 'begin'> | undefined;
  readonly logger: Logger;
  readonly schedule: Schedule;
}

/** The time for which this coordinator holds the lease. */
export interface Tenure {
  /** Returns the lease. Its epoch may have grown, where a peer knew of a greater one. */
  readonly lease: () => Lease;
}

/** Longest wait for a coordinator that places, in milliseconds: a starter listens, and a successor waits for its turn. */
const maxWaitMs = 20_000;
/** The outcome where the holder did not answer, and its successor is to be asked. */
const again = Symbol('again');

/** Pause before another try at a holder that could not be reached, or was just replaced. */
const retryMs = 500;

/**
 * The deployments of the mesh, as one coordinator offers them to people and requests. While it holds the lease it places
 * by itself; otherwise it has the holder do it. So an API on any machine can be asked for anything, and one machine at a
 * time decides.
 */
export class Placer {
  readonly #components: PlacerComponents;
  readonly #stopped = new AbortController();
  readonly #served = new DisposableStack();
  /** The deployments of this tenure; undefined while another coordinator places. */
  #deployments: Deployments | undefined;
  /** Changes of tenure, one after the other. */
  #changing: Promise<void> = Promise.resolve();
  #changed = Promise.withResolvers<void>();

  constructor(components: PlacerComponents) {
    this.#components = components;
  }

  /** Follows the lease from now on, and answers other coordinators. */
  start(): void {
    const { keeper, mesh } = this.#components;
    this.#served.defer(keeper.onChange(() => this.#follow()));
    this.#served.use(mesh.handle(methods.place, async (stream, remote) => await this.#answer(stream, remote)));
    this.#follow();
  }

  /** Ends the tenure, if there is one. Takes as long as letting go of its deployments. */
  async stop(): Promise<void> {
    this.#stopped.abort(new SkeinError('not-running', 'the coordinator is stopping'));
    this.#served.dispose();
    this.#follow();
    await this.#changing;
  }

  /** Lists the deployments of this coordinator, in the order in which they were started; none while another one places. */
  list(): readonly DeploymentStatus[] {
    return this.#deployments?.list() ?? [];
  }

  /** Returns the peers of a deployment, as {@link Deployments.peersOf} does. */
  peersOf(id: string): readonly string[] | undefined {
    return this.#deployments?.peersOf(id);
  }

  /** Tells whether a deployment may serve, as {@link Deployments.mayServe} does. */
  mayServe(id: string): boolean {
    return this.#deployments?.mayServe(id) ?? true;
  }

  /** Notes a request for a model, as {@link Deployments.uses} does. */
  uses(model: string): void {
    this.#deployments?.uses(model);
  }

  /** Tells whether somebody took a deployment down here, as {@link Deployments.wasTakenDown} does. */
  wasTakenDown(id: string): boolean {
    return this.#deployments?.wasTakenDown(id) ?? false;
  }

  /** Replaces a deployment whose answers are wrong, as {@link Deployments.replaceWrong} does, while this coordinator places. */
  replaceWrong(...wrong: Parameters<Deployments['replaceWrong']>): void {
    this.#deployments?.replaceWrong(...wrong);
  }

  /**
   * Deploys a model, here or by way of the coordinator that places.
   *
   * @throws SkeinError as {@link Deployments.deploy} does; `no-peers` while no coordinator places
   */
  async deploy(request: DeploymentRequest, options: DeployOptions = {}): Promise<DeploymentStatus> {
    const { signal = this.#stopped.signal, onProgress, unlessServed, wait, scaling } = options;
    return await this.#placed(signal, {
      here: async (deployments) => await deployments.deploy(request, options),
      there: async (holder) => {
        const { coming } = this.#components;
        // From here on the mesh shows what is served, and requests need not wait for it here.
        if (coming?.awaited.has(request.model.toLowerCase()) === true) coming.begin();
        const message: PlaceRequest = {
          type: 'place-deploy',
          request: { ...request } as Extract<PlaceRequest, { type: 'place-deploy' }>['request'],
          ...(unlessServed !== undefined && { unlessServed }),
          ...(wait !== undefined && { wait }),
          ...(scaling !== undefined && { scaling: { ...scaling } }),
        };
        return await this.#done(holder, message, { signal, onProgress });
      },
    });
  }

  /**
   * Plans a deployment without making it, here or by way of the coordinator that places, which knows what is to come.
   *
   * @throws SkeinError as {@link Deployments.plan} does; `no-peers` while no coordinator places
   */
  async plan(request: PlanRequest, signal: AbortSignal): Promise<PlanAnswer> {
    return await this.#placed(signal, {
      here: async (deployments) => await deployments.plan(request, signal),
      there: async (holder) => {
        const message = { type: 'place-plan', request: { ...request } } as PlaceRequest;
        const answer = await this.#ask(holder, message, { signal });
        if (answer === again) return again;
        if (answer.type !== 'place-planned') throw unexpected(answer);
        return answer.plan;
      },
    });
  }

  /**
   * Takes a deployment down, here or by way of the coordinator that places.
   *
   * @throws SkeinError as {@link Deployments.undeploy} does; `no-peers` while no coordinator places
   */
  async undeploy(id: string, { now, onProgress }: UndeployOptions = {}): Promise<DeploymentStatus> {
    const { signal } = this.#stopped;
    return await this.#placed(signal, {
      here: async (deployments) =>
        await deployments.undeploy(id, { ...(now !== undefined && { now }), ...(onProgress && { onProgress }) }),
      there: async (holder) => {
        const message: PlaceRequest = {
          type: 'place-undeploy',
          deployment: id,
          ...(now !== undefined && { now }),
        };
        return await this.#done(holder, message, { signal, onProgress });
      },
    });
  }

  /**
   * Returns a replica of a model, here or by way of the coordinator that places.
   *
   * @throws SkeinError as {@link Deployments.ensure} does; `no-peers` while no coordinator places
   */
  async ensure(model: string, { signal, failed = [] }: EnsureOptions): Promise<DeploymentRoute> {
    return await this.#placed(signal, {
      here: async (deployments) => await deployments.ensure(model, { signal, failed }),
      there: async (holder) => {
        const message: PlaceRequest = {
          type: 'place-ensure',
          model,
          failed: failed.slice(-maxFailedDeployments),
        };
        const answer = await this.#ask(holder, message, { signal });
        if (answer === again) return again;
        if (answer.type !== 'place-route') throw unexpected(answer);
        const { deployment, lead } = answer;
        return { deployment, lead };
      },
    });
  }

  /**
   * Drains a peer, here or by way of the coordinator that places.
   *
   * @throws SkeinError as {@link Deployments.drain} does; `no-peers` while no coordinator places
   */
  async drain(peer: string, { force, onProgress }: DrainOptions = {}): Promise<DrainStatus> {
    const { signal } = this.#stopped;
    const forced = force !== undefined && { force };
    return await this.#placed(signal, {
      here: async (deployments) => await deployments.drain(peer, { ...forced, onProgress }),
      there: async (holder) => {
        const options = { signal, onDrain: onProgress };
        const answer = await this.#ask(holder, { type: 'place-drain', peer, ...forced }, options);
        if (answer === again) return again;
        if (answer.type !== 'place-drained') throw unexpected(answer);
        return answer.drain;
      },
    });
  }

  /**
   * Has a peer take stages again, here or by way of the coordinator that places.
   *
   * @throws SkeinError as {@link Deployments.undrain} does; `no-peers` while no coordinator places
   */
  async undrain(peer: string): Promise<void> {
    const { signal } = this.#stopped;
    await this.#placed(signal, {
      here: async (deployments) => await deployments.undrain(peer),
      there: async (holder) => {
        const answer = await this.#ask(holder, { type: 'place-undrain', peer }, { signal });
        if (answer === again) return again;
        if (answer.type !== 'place-undrained') throw unexpected(answer);
        return undefined;
      },
    });
  }

  /** Begins a tenure when the lease is ours, and ends it when it is not any more. */
  #follow(): void {
    const { keeper, createDeployments, logger } = this.#components;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
    this.#changing = this.#changing.then(async () => {
      const { tenure } = keeper;
      const isOurs = tenure !== undefined && !this.#stopped.signal.aborted;
      if (isOurs === (this.#deployments !== undefined)) return;
      try {
        if (isOurs) {
          // Peers refuse it once it is another one's: that ends what was begun in this tenure.
          let last = tenure;
          const deployments = createDeployments({ lease: () => (last = keeper.tenure ?? last) });
          await deployments.start();
          this.#deployments = deployments;
        } else {
          const deployments = this.#deployments;
          this.#deployments = undefined;
          await deployments?.stop();
        }
      } catch (error) {
        logger.error({ error }, isOurs ? 'this coordinator can not place' : 'deployments could not be let go of');
      }
      this.#changed.resolve();
      this.#changed = Promise.withResolvers();
    });
  }

  /**
   * Has something done where models are placed. Where nobody places just now, it waits; where the holder is lost or
   * replaced before it has answered, it asks its successor.
   */
  async #placed<Result>(
    signal: AbortSignal,
    ways: {
      readonly here: (deployments: Deployments) => Promise<Result>;
      /** Resolves with `again` where the holder is gone, or holds nothing any more. */
      readonly there: (holder: string) => Promise<Result | typeof again>;
    },
  ): Promise<Result> {
    const { keeper, schedule } = this.#components;
    const late = new AbortController();
    using _late = schedule(maxWaitMs, () => late.abort(noPlacer()));
    const waiting = AbortSignal.any([signal, this.#stopped.signal, late.signal]);
    for (;;) {
      throwIfAborted(AbortSignal.any([signal, this.#stopped.signal]));
      const changed = this.#changed.promise;
      const { followed } = keeper;
      const deployments = this.#deployments;
      if (deployments !== undefined) {
        try {
          return await ways.here(deployments);
        } catch (error) {
          const isReplaced = deployments !== this.#deployments || (isSkeinError(error) && error.code === 'stale-lease');
          if (!isReplaced || waiting.aborted) throw error;
        }
      } else if (followed !== undefined) {
        const result = await ways.there(followed.holder);
        if (result !== again) return result;
      }
      using pause = new DisposableStack();
      const paused = new Promise<void>((resolve) => pause.use(schedule(retryMs, resolve)));
      await untilAborted(Promise.race([changed, paused]), waiting);
    }
  }

  async #done(
    holder: string,
    message: PlaceRequest,
    options: Pick<DeployOptions, 'onProgress'> & { readonly signal: AbortSignal },
  ): Promise<DeploymentStatus | typeof again> {
    const answer = await this.#ask(holder, message, options);
    if (answer === again) return again;
    if (answer.type !== 'place-done') throw unexpected(answer);
    return answer.deployment;
  }

  /**
   * Asks the holder, and returns its last answer; `again` where it is gone, or holds nothing any more. Giving the stream
   * up cancels a deployment that is not ready.
   */
  async #ask(
    holder: string,
    message: PlaceRequest,
    {
      signal,
      onProgress,
      onDrain,
    }: Pick<DeployOptions, 'onProgress'> & {
      readonly signal: AbortSignal;
      readonly onDrain?: DrainOptions['onProgress'];
    },
  ): Promise<PlaceAnswer | typeof again> {
    const { mesh, logger } = this.#components;
    let stream: FrameStream | undefined;
    try {
      stream = await mesh.open(holder, methods.place, { signal });
      await stream.write(message, undefined, { signal });
      for (;;) {
        const frame = await stream.read({ signal });
        if (frame === undefined) return again;
        const answer = parseHeader(placeAnswerSchema, frame.header);
        if (answer.type === 'place-status') onProgress?.(answer.deployment);
        else if (answer.type === 'place-drain-status') onDrain?.(answer.drain);
        else return answer;
      }
    } catch (error) {
      const isGone = stream === undefined || stream.lost.aborted;
      const isReplaced = isSkeinError(error) && error.code === 'stale-lease';
      if (signal.aborted || !(isGone || isReplaced)) throw error;
      logger.debug({ error, holder }, 'the coordinator that places was lost');
      return again;
    } finally {
      await stream?.[Symbol.asyncDispose]();
    }
  }

  /** Does for another coordinator what that must not do itself. */
  async #answer(stream: FrameStream, { signal }: Remote): Promise<void> {
    const message = parseHeader(placeRequestSchema, (await stream.read())?.header);
    await this.#changing;
    const deployments = this.#deployments;
    if (deployments === undefined) throw this.#replaced();
    const write = async (answer: PlaceAnswer): Promise<void> => await stream.write(answer, undefined, { signal });
    let isBusy = false;
    // A slow reader gets fewer statuses, never a longer queue.
    const report = (answer: PlaceAnswer): void => {
      if (isBusy) return;
      isBusy = true;
      write(answer)
        .catch(() => undefined)
        .finally(() => (isBusy = false));
    };
    const onProgress = (deployment: DeploymentStatus): void => report({ type: 'place-status', deployment });
    switch (message.type) {
      case 'place-deploy': {
        const { request, type: _type, ...options } = message;
        const deployment = await deployments.deploy(request, { ...options, signal, onProgress });
        return await write({ type: 'place-done', deployment });
      }
      case 'place-undeploy': {
        const { deployment: id, now } = message;
        const options = { ...(now !== undefined && { now }), onProgress };
        return await write({ type: 'place-done', deployment: await deployments.undeploy(id, options) });
      }
      case 'place-plan':
        return await write({ type: 'place-planned', plan: await deployments.plan(message.request, signal) });
      case 'place-drain': {
        const { peer, force } = message;
        const onDrain = (drain: DrainStatus): void => report({ type: 'place-drain-status', drain });
        const options = { ...(force !== undefined && { force }), onProgress: onDrain };
        return await write({ type: 'place-drained', drain: await deployments.drain(peer, options) });
      }
      case 'place-undrain':
        await deployments.undrain(message.peer);
        return await write({ type: 'place-undrained' });
      case 'place-ensure': {
        const { model, failed } = message;
        if (failed.some((id) => deployments.wasTakenDown(id)))
          throw new SkeinError('not-deployed', 'somebody took this deployment down; deploy the model again to use it');
        return await write({ type: 'place-route', ...(await deployments.ensure(model, { signal, failed })) });
      }
    }
  }

  #replaced(): SkeinError {
    const { followed } = this.#components.keeper;
    if (followed === undefined) return noPlacer();
    const { epoch, holder } = followed;
    return new SkeinError('stale-lease', 'another coordinator places models now', { details: { epoch, holder } });
  }
}

function noPlacer(): SkeinError {
  return new SkeinError(
    'no-peers',
    'no coordinator of this mesh places models just now: the last one is gone, and the next takes over in seconds; try again in a moment',
  );
}

function unexpected({ type }: PlaceAnswer): SkeinError {
  return new SkeinError('protocol-violation', `the holder of the lease answered with ${type}`);
}
