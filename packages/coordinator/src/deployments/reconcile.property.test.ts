import { deploymentSpec, invariant, type DeploymentStatus, type HeldStage } from '@skein/protocol';
import * as fc from 'fast-check';
import { expect, it } from 'vitest';

import { cardOf, gibibyte, heldStageOf, manifestOf, mebibyte, peerIdOf, statusOf } from '../testing/fixtures.ts';
import { DemandHistory, loadsOf } from './demand.ts';
import { DesiredState, type DesiredDeployment } from './desired-state.ts';
import { residenceMs } from './eviction.ts';
import { deploymentFor, reconcile, type Action, type Observed, type Progress } from './reconcile.ts';
import { machinesOf } from './retry.ts';
import type { ModelScaling } from './scaling.ts';

const second = 1000;
const loadSeconds = 2;
const idleSeconds = 30;
const sequences = 2;
const pauseSeconds = 15;
const lastSecond = 90;

interface Terms {
  readonly min: number;
  readonly more: number;
  readonly pinned: boolean;
  readonly standby: number;
}

interface Story {
  /** Memory of each machine, in GiB. */
  readonly machines: readonly number[];
  /** Size of each model, in GiB, and the terms of some. */
  readonly models: readonly {
    readonly size: number;
    readonly terms: Terms | undefined;
    readonly isDeployed: boolean;
  }[];
  readonly requests: readonly { readonly atSecond: number; readonly model: number; readonly seconds: number }[];
}

const stories: fc.Arbitrary<Story> = fc.record({
  machines: fc.array(fc.integer({ min: 2, max: 8 }), { minLength: 1, maxLength: 3 }),
  models: fc.array(
    fc.record({
      size: fc.integer({ min: 1, max: 5 }),
      terms: fc.option(
        fc.record({
          min: fc.integer({ min: 0, max: 2 }),
          more: fc.integer({ min: 0, max: 2 }),
          pinned: fc.boolean(),
          standby: fc.integer({ min: 0, max: 2 }),
        }),
        { nil: undefined },
      ),
      isDeployed: fc.boolean(),
    }),
    { minLength: 2, maxLength: 4 },
  ),
  requests: fc.array(
    fc.record({
      atSecond: fc.integer({ min: 0, max: lastSecond }),
      model: fc.nat(3),
      seconds: fc.integer({ min: 1, max: 20 }),
    }),
    { maxLength: 20 },
  ),
});

/** Two models on two machines, the first of which has a standby. */
const withStandby: Omit<Story, 'requests'> = {
  machines: [4, 4],
  models: [
    { size: 3, terms: { min: 1, more: 1, pinned: false, standby: 1 }, isDeployed: false },
    { size: 3, terms: undefined, isDeployed: false },
  ],
};
/** Stories in which that makes room for the other model, and in which it serves since one replica is not enough. */
const examples: [Story][] = [
  [{ ...withStandby, requests: [{ atSecond: 20, model: 1, seconds: 1 }] }],
  [{ ...withStandby, requests: Array.from({ length: 6 }, () => ({ atSecond: 20, model: 0, seconds: 20 })) }],
];

interface Request {
  readonly model: string;
  readonly seconds: number;
  /** Id of its deployment, and the second in which it ends. */
  running?: { readonly on: string; readonly until: number };
}

function sure(isSo: boolean, promise: string): void {
  if (!isSo) throw new Error(`a promise was broken: ${promise}`);
}

/** A mesh in which every command is obeyed: stages take exactly their planned bytes, from their load to their end. */
class World {
  readonly state = new DesiredState();
  readonly manifests: ReturnType<typeof manifestOf>[];
  readonly #story: Story;
  readonly #history = new DemandHistory();
  readonly #progress = new Map<string, Progress>();
  readonly #addedAtMs = new Map<string, number>();
  /** Moments of change, in seconds: the end of loading, and of a pause. */
  readonly #due = new Map<string, number>();
  /** Deployments for which others were evicted. */
  readonly promised = new Set<string>();
  /** Deployments whose leads show standbys. */
  readonly #standbys = new Set<string>();
  evictions = 0;
  /** Standbys that made room, and those that came to serve. */
  spared = 0;
  promotions = 0;
  requests: Request[] = [];
  #now = 0;
  #count = 0;

  constructor(story: Story) {
    this.#story = story;
    this.manifests = story.models.map(({ size }, index) =>
      manifestOf({ name: `model-${index}`, layers: 8, layerBytes: (size * gibibyte) / 8 - 20 * mebibyte }),
    );
    for (const [index, { terms, isDeployed }] of story.models.entries()) {
      const { model, name } = invariant(this.manifests[index], 'each has a manifest');
      const spec = deploymentSpec({ sequences }, model);
      if (terms !== undefined) {
        const replicas = { min: terms.min, max: Math.max(1, terms.min + terms.more) };
        const idleMs = terms.more === 0 && terms.min > 0 ? undefined : idleSeconds * second;
        const { pinned, standby } = terms;
        this.state.setScaling(model, { id: `terms-${index}`, name, spec, replicas, idleMs, pinned, standby });
      } else if (isDeployed) {
        this.#add({ name, spec, patience: 'all' });
      }
    }
  }

  #add(wanted: Pick<DesiredDeployment, 'name' | 'spec'> & Partial<DesiredDeployment>): string {
    const id = `deployment-${(this.#count += 1)}`;
    this.state.add({ ...wanted, id });
    this.#progress.set(id, { step: 'asked' });
    return id;
  }

  statuses(): readonly DeploymentStatus[] {
    return [...this.#progress.values()].flatMap((one) => (one.step === 'placed' ? [one.status] : []));
  }

  stagesOn(peer: string): readonly HeldStage[] {
    return this.statuses().flatMap(({ id, model, state, stages }) =>
      stages.flatMap((stage, index) => {
        if (stage.peer !== peer) return [];
        const active = index === 0 ? this.requests.filter(({ running }) => running?.on === id).length : 0;
        const shown = state === 'ready' || state === 'draining' ? state : 'loading';
        const standby = this.#standbys.has(id);
        const held = { ...heldStageOf(id), model, stage: index, stages: stages.length, sequences, active, standby };
        return [{ ...held, state: shown, bytes: Math.round(stage.plannedBytes) } satisfies HeldStage];
      }),
    );
  }

  cards() {
    return this.#story.machines.map((size, index) => {
      const peer = peerIdOf(index + 1);
      const stages = this.stagesOn(peer);
      const loaded = stages.filter(({ state }) => state !== 'loading').reduce((sum, { bytes }) => sum + bytes, 0);
      const card = cardOf({ peer, holds: this.manifests, card: { stages: [...stages] } });
      const hardware = invariant(card.hardware, 'a peer has hardware');
      const memoryBytes = size * gibibyte;
      return { ...card, hardware: { ...hardware, memoryBytes, freeMemoryBytes: Math.max(0, memoryBytes - loaded) } };
    });
  }

  #waitingFor(model: string): number {
    return this.requests.filter((one) => one.model === model && one.running === undefined).length;
  }

  observe(): Observed {
    const cards = this.cards();
    const waiting = new Map(this.manifests.map(({ model }) => [model, this.#waitingFor(model)]));
    const nowMs = this.#now * second;
    const demand = this.#history.observe(
      loadsOf(cards, [], waiting),
      this.manifests.map(({ model }) => model),
      nowMs,
    );
    return { cards, progress: this.#progress, ended: new Set(), nowMs, demand, addedAtMs: this.#addedAtMs };
  }

  decide(): readonly Action[] {
    return reconcile(this.state.list(), this.observe(), { scaling: this.state.scaling(), contextTokens: 512 });
  }

  /** Lets a second pass: requests come, begin and end, stages load, and reconciliation goes on until nothing changes. */
  pass(): void {
    this.#now += 1;
    this.requests = this.requests.filter(({ running }) => running === undefined || running.until > this.#now);
    for (const { atSecond, model, seconds } of this.#story.requests) {
      const manifest = this.manifests[model % this.manifests.length];
      if (atSecond === this.#now && manifest !== undefined) this.requests.push({ model: manifest.model, seconds });
    }
    for (const [id, at] of this.#due) if (at <= this.#now) this.#become(id);
    this.#serve();
    for (let round = 0; ; round += 1) {
      sure(round < 30, 'it settles');
      const actions = this.decide();
      for (const action of actions) this.#do(action);
      const isFetched = this.#fetch();
      this.#assertSound();
      if (actions.length === 0 && !isFetched) break;
    }
  }

  #become(id: string): void {
    this.#due.delete(id);
    const progress = this.#progress.get(id);
    if (progress?.step === 'waiting') this.#progress.set(id, { ...progress, isDue: true });
    if (progress?.step !== 'placed' || progress.status.state !== 'loading') return;
    const status: DeploymentStatus = { ...progress.status, state: 'ready' };
    this.#progress.set(id, { step: 'placed', status, readySinceMs: this.#now * second });
  }

  #fetch(): boolean {
    const fetching = [...this.#progress].filter(([, { step }]) => step === 'fetching');
    for (const [id] of fetching) {
      const model = this.state.get(id)?.spec.model;
      const manifest = invariant(
        this.manifests.find((one) => one.model === model),
        'the model of each deployment is held',
      );
      this.#progress.set(id, { step: 'fetched', manifest, sinceMs: this.#now * second });
    }
    return fetching.length > 0;
  }

  /** Gives waiting requests to replicas that serve, and has the first one of a model made. */
  #serve(): void {
    const observed = this.observe();
    for (const request of this.requests.filter(({ running }) => running === undefined)) {
      const serving = this.statuses().filter(
        ({ id, model, state }) => model === request.model && state === 'ready' && this.state.get(id)?.goal === 'serve',
      );
      const replicas = serving.filter(({ id }) => !this.#standbys.has(id));
      const on = (replicas.length > 0 ? replicas : serving).find(
        ({ id }) => this.requests.filter(({ running }) => running?.on === id).length < sequences,
      )?.id;
      if (on !== undefined) request.running = { on, until: this.#now + request.seconds };
      else if (serving.length === 0) this.#ask(request.model, observed);
    }
  }

  #ask(model: string, observed: Observed): void {
    const demand = deploymentFor({ model }, this.state.list(), observed);
    const { name } = invariant(
      this.manifests.find((one) => one.model === model),
      'requests are for held models',
    );
    const spec = this.state.scalingOf(model)?.spec ?? deploymentSpec({ sequences }, model);
    if (demand.type === 'add') this.#add({ name, spec, isOnDemand: true });
    else if (this.#progress.get(demand.id)?.step === 'waiting') this.#progress.set(demand.id, { step: 'asked' });
  }

  #do(action: Action): void {
    const { id } = action;
    const progress = this.#progress.get(id);
    switch (action.type) {
      case 'fetch':
        this.#progress.set(id, { step: 'fetching' });
        break;
      case 'place': {
        const { plan, spec } = action.placement;
        const stages = plan.stages.map(({ peer, block, bytes }) => ({
          peer,
          block,
          plannedBytes: bytes,
          state: 'loading' as const,
        }));
        const isStandby = this.state.get(id)?.isStandby === true;
        if (isStandby) this.#assertApart(id, stages);
        if (isStandby) this.#standbys.add(id);
        const status = statusOf({ ...spec, id, model: spec.model, name: 'any', state: 'loading', stages });
        this.#progress.set(id, { step: 'placed', status });
        this.#due.set(id, this.#now + loadSeconds);
        this.promised.delete(id);
        break;
      }
      case 'wait':
        sure(!this.promised.has(id), 'whoever others went for is placed');
        this.#progress.set(id, { step: 'waiting', isDue: false, machines: machinesOf(this.cards()) });
        this.#due.set(id, this.#now + pauseSeconds);
        this.#dropRequests(id);
        break;
      case 'retry':
        this.#progress.set(id, { step: 'asked' });
        break;
      case 'refuse':
        sure(!this.promised.has(id), 'whoever others went for is placed');
        this.#dropRequests(id);
        this.#remove(id);
        break;
      case 'evict':
        this.#evict(id, action.for);
        break;
      case 'scale-down':
        this.state.takeDown(id, 'drain');
        this.#assertEnoughLeft(id);
        break;
      case 'add': {
        const { scaling, isExtra } = action;
        const { name, spec } = scaling;
        if (isExtra) this.#addedAtMs.set(spec.model, this.#now * second);
        this.#add({ name, spec, isOnDemand: isExtra, patience: isExtra ? 'none' : 'all' });
        break;
      }
      case 'add-standby': {
        const { name, spec } = action.scaling;
        sure(this.replicasOf(spec.model).length > 0, 'standbys stand by for a replica');
        this.#add({ name, spec, isStandby: true, patience: 'all' });
        break;
      }
      case 'promote': {
        const insteadOf = this.state.get(action.insteadOf ?? '');
        sure(progress?.step === 'placed' && progress.status.state === 'ready', 'a standby that serves is promoted');
        this.state.update(id, { isStandby: false, isOnDemand: insteadOf?.isOnDemand ?? true });
        if (insteadOf !== undefined) this.#remove(insteadOf.id);
        this.promotions += 1;
        break;
      }
      case 'serve':
        sure(this.state.get(id)?.isStandby !== true, 'no standby is told to serve');
        this.#standbys.delete(id);
        break;
      case 'drain':
      case 'hand-over':
        if (progress?.step === 'placed') this.#progress.set(id, drained(progress, this.#runningOn(id)));
        break;
      case 'close':
        sure(this.#runningOn(id) === 0, 'no running answer is cut');
        this.#remove(id);
        break;
      case 'adopt':
      case 'release':
      case 'remove':
      case 'replace':
        throw new Error(`nothing was lost, and yet: ${action.type}`);
    }
    for (const [one, each] of this.#progress) {
      if (each.step === 'placed' && each.status.state === 'draining') {
        this.#progress.set(one, drained(each, this.#runningOn(one)));
      }
    }
  }

  #runningOn(id: string): number {
    return this.requests.filter(({ running }) => running?.on === id).length;
  }

  /** Takes away the requests that wait for a deployment that is not placed. */
  #dropRequests(id: string): void {
    const model = this.state.get(id)?.spec.model;
    this.requests = this.requests.filter((one) => one.model !== model || one.running !== undefined);
  }

  #remove(id: string): void {
    this.state.remove(id);
    this.#progress.delete(id);
    this.#due.delete(id);
    this.promised.delete(id);
  }

  #evict(id: string, forId: string): void {
    const evicted = invariant(this.state.get(id), 'what is evicted is desired');
    const forWhom = invariant(this.state.get(forId), 'somebody needs the room');
    const { model } = evicted.spec;
    const progress = this.#progress.get(id);
    sure(forWhom.isStandby !== true, 'nothing goes for a standby');
    this.promised.add(forId);
    this.state.update(forId, { evicted: [...forWhom.evicted, id] });
    this.state.takeDown(id, 'drain');
    const isServed = this.replicasOf(model).some((one) => one.id !== id && this.#isReady(one.id));
    if (evicted.isStandby === true && isServed) {
      sure(this.#runningOn(id) === 0, 'answers that have moved to a standby stay there');
      this.spared += 1;
      return;
    }
    sure(model !== forWhom.spec.model, 'no model goes for itself');
    sure(this.state.scalingOf(model)?.pinned !== true, 'pinned ones stay');
    sure(!this.requests.some((one) => one.model === model), 'those with requests stay');
    sure(this.#waitingFor(forWhom.spec.model) > 0, 'they go for a request');
    const { readySinceMs = Infinity } = progress?.step === 'placed' ? progress : {};
    sure(this.#now * second - readySinceMs >= residenceMs, 'young ones stay');
    this.evictions += 1;
    if (evicted.isOnDemand || evicted.isStandby === true || this.state.scalingOf(model) !== undefined) return;
    const back = this.#add({ ...evicted, placement: undefined, evicted: [] });
    this.#progress.set(back, { step: 'waiting', isDue: false, machines: machinesOf(this.cards()) });
    this.#due.set(back, this.#now + pauseSeconds);
  }

  #isReady(id: string): boolean {
    const progress = this.#progress.get(id);
    return progress?.step === 'placed' && progress.status.state === 'ready';
  }

  #assertApart(id: string, stages: readonly { readonly peer: string }[]): void {
    const { spec } = invariant(this.state.get(id), 'what is placed is desired');
    const replicas = this.replicasOf(spec.model).map((one) => one.id);
    const held = this.statuses().filter((one) => replicas.includes(one.id));
    const peers = new Set(held.flatMap((one) => one.stages.map(({ peer }) => peer)));
    sure(!stages.some(({ peer }) => peers.has(peer)), 'a standby is placed apart from the replicas');
  }

  #assertEnoughLeft(id: string): void {
    const { spec, isStandby } = invariant(this.state.get(id), 'what goes is desired');
    if (isStandby === true) return;
    const { min = 0 } = this.state.scalingOf(spec.model)?.replicas ?? {};
    sure(this.replicasOf(spec.model).length >= min, 'as many as are owed stay');
  }

  replicasOf(model: string): readonly DesiredDeployment[] {
    return this.#servingOf(model).filter(({ isStandby }) => isStandby !== true);
  }

  standbysOf(model: string): readonly DesiredDeployment[] {
    return this.#servingOf(model).filter(({ isStandby }) => isStandby === true);
  }

  #servingOf(model: string): readonly DesiredDeployment[] {
    return this.state.list().filter(({ spec, goal }) => spec.model === model && goal === 'serve');
  }

  /** Whether a replica that is no standby serves. */
  isServed(model: string): boolean {
    return this.replicasOf(model).some(({ id }) => this.#isReady(id));
  }

  #assertSound(): void {
    for (const [index, size] of this.#story.machines.entries()) {
      const taken = this.stagesOn(peerIdOf(index + 1)).reduce((sum, { bytes }) => sum + bytes, 0);
      sure(taken <= size * gibibyte, 'memory is never overcommitted');
    }
  }

  waiting(): readonly string[] {
    return [...this.#progress].filter(([, { step }]) => step === 'waiting').map(([id]) => id);
  }

  /** Has a deployment that waits tried once more, and returns what is done then. */
  actionAfterRetry(id: string): string | undefined {
    this.#progress.set(id, { step: 'fetching' });
    this.#fetch();
    return this.decide().find((action) => action.id === id)?.type;
  }
}

function drained(progress: Extract<Progress, { step: 'placed' }>, running: number): Progress {
  return { ...progress, status: { ...progress.status, state: 'draining', running } };
}

function isWithin({ replicas = { min: 0, max: 1 } }: ModelScaling, count: number): boolean {
  return count === replicas.min;
}

it('keeps its promises whatever is asked for: memory, pins, running answers, room for whom others went, numbers of replicas', () => {
  let [evictions, spared, promotions] = [0, 0, 0];
  fc.assert(
    fc.property(stories, (story) => {
      const world = new World(story);
      for (let at = 0, quiet = 0; quiet < idleSeconds + 2 * pauseSeconds; at += 1, quiet += 1) {
        world.pass();
        if (world.requests.length > 0 || at < lastSecond) quiet = 0;
      }
      evictions += world.evictions;
      spared += world.spared;
      promotions += world.promotions;
      // Nothing changes by being decided once more.
      expect(world.decide()).toEqual([]);
      for (const terms of world.state.scaling()) {
        const { model } = terms.spec;
        expect(isWithin(terms, world.replicasOf(model).length)).toBe(true);
        const standbys = world.standbysOf(model).length;
        expect(!world.isServed(model) || standbys === (terms.standby ?? 0)).toBe(true);
      }
      for (const id of world.waiting()) expect(world.actionAfterRetry(id)).toBe('wait');
    }),
    { numRuns: 25, examples },
  );
  // The stories are such that it comes to that.
  expect([evictions, spared, promotions].map((count) => count > 0)).toEqual([true, true, true]);
});
