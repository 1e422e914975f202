import { deploymentSpec, SkeinError, type DeploymentOptions, type HeldStage } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { cardOf, desiredOf, gibibyte, heldStageOf, manifestOf, peerIdOf, statusOf } from '../testing/fixtures.ts';
import type { ModelDemand } from './demand.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { deploymentFor, reconcile, type Action, type Observed, type Progress } from './reconcile.ts';
import { machinesOf } from './retry.ts';
import type { ModelScaling } from './scaling.ts';

const machines = { ada: peerIdOf(1), bob: peerIdOf(2), cyd: peerIdOf(3) } as const;
type Machine = keyof typeof machines;
const manifest = manifestOf({ name: 'tiny', layers: 8 });
const other = manifestOf({ name: 'other', layers: 8 });
const { model } = manifest;
const context = { contextTokens: 2048 };
/** Leaves too little for a second one on any machine. */
const large = { contextTokens: 700_000 };

interface One extends Partial<Omit<DesiredDeployment, 'id' | 'spec'>> {
  readonly options?: DeploymentOptions;
  readonly model?: string;
  readonly step: Progress['step'] | 'ready' | 'loading' | 'failed';
  /** Machines of its stages. Default: ada. */
  readonly on?: readonly Machine[];
  /** Facts of its lead on the card. */
  readonly lead?: Partial<HeldStage>;
}

interface World {
  readonly terms?: Partial<ModelScaling> | undefined;
  readonly demand?: Partial<ModelDemand>;
  /** Machines that are there, with their free memory in GiB. Default: ada with 3, bob with 2.5. */
  readonly free?: Partial<Record<Machine, number>>;
}

/** Decides for deployments, by their ids; those that begin with `s` are standbys. */
function decide(all: Readonly<Record<string, One>>, { terms, demand, free = { ada: 3, bob: 2.5 } }: World = {}) {
  const progress = new Map<string, Progress>();
  const shown = new Map<string, HeldStage[]>();
  const desired = Object.entries(all).map(([id, one]): DesiredDeployment => {
    const { options = context, model: named = model, step, on = ['ada'], lead, ...wanted } = one;
    const { stages: _stages, layers: _layers, ...settings } = deploymentSpec(options, named);
    if (step === 'ready' || step === 'loading' || step === 'failed') {
      const stages = on.map((machine, index) => {
        const block = { from: (8 / on.length) * index, to: (8 / on.length) * (index + 1) };
        const held = { ...heldStageOf(id), model: named, stage: index, stages: on.length, block };
        if (step !== 'failed') {
          shown.set(machine, [...(shown.get(machine) ?? []), { ...held, ...(index === 0 && lead) }]);
        }
        return { peer: machines[machine], block, plannedBytes: gibibyte, state: 'ready' as const };
      });
      const contextTokens = options.contextTokens ?? 2048;
      progress.set(id, { step: 'placed', status: statusOf({ ...settings, contextTokens, id, state: step, stages }) });
    } else if (step === 'fetched') {
      progress.set(id, { step, manifest: named === model ? manifest : other, sinceMs: 0 });
    } else if (step === 'waiting') progress.set(id, { step, isDue: false, machines: '' });
    else if (step === 'not-fetched') progress.set(id, { step, error: new SkeinError('model-unreachable', 'no') });
    else if (step !== 'placed') progress.set(id, { step });
    const spec = deploymentSpec(options, named);
    return desiredOf(id, { isStandby: id.startsWith('s'), patience: 'all', ...wanted, spec });
  });
  const cards = Object.entries(free).map(([machine, size]) =>
    cardOf({
      peer: machines[machine as Machine],
      freeBytes: size * gibibyte,
      holds: [manifest, other],
      card: { stages: shown.get(machine) ?? [] },
    }),
  );
  for (const [id, one] of progress) {
    if (one.step === 'waiting') progress.set(id, { ...one, machines: machinesOf(cards) });
  }
  const asked = { running: 0, waiting: 0, usedAtMs: 0, waitingSinceMs: undefined, spareSinceMs: undefined, ...demand };
  const observed: Observed = {
    cards,
    progress,
    ended: new Set(),
    nowMs: 0,
    demand: new Map([[model, asked]]),
    addedAtMs: new Map(),
  };
  const scaling = { id: 'terms', name: 'tiny', spec: deploymentSpec(context, model), pinned: false, ...terms };
  const actions = reconcile(desired, observed, { scaling: terms === undefined ? [] : [scaling], contextTokens: 2048 });
  return { actions: actions.map(told), all: actions, desired, observed };
}

function told(action: Action): string {
  const { type, id } = action;
  if (type === 'promote') return `promote ${id} instead of ${action.insteadOf ?? 'none'}`;
  if (type === 'evict') return `evict ${id} for ${action.for}`;
  if (type !== 'place') return `${type} ${id}`;
  const { plan, spec } = action.placement;
  const on = plan.stages.map(({ peer }) => Object.entries(machines).find(([, one]) => one === peer)?.[0]);
  return `place ${id} on ${on.join(' and ')} with ${spec.contextTokens}`;
}

const one = { terms: { standby: 1 } };
const ready: One = { step: 'ready' };
const readyAtBob: One = { step: 'ready', on: ['bob'] };

describe('the standbys of a model', () => {
  it.each<[title: string, Readonly<Record<string, One>>, World, readonly string[]]>([
    ['come once a replica serves', { a: ready }, one, ['add-standby terms']],
    ['come as many as were asked for', { a: ready }, { terms: { standby: 2 } }, Array(2).fill('add-standby terms')],
    ['do not come before', { a: { step: 'loading' } }, one, []],
    ['stay while they wait', { a: ready, s: { step: 'waiting' } }, one, []],
    ['count as no replicas', { a: ready, s: readyAtBob }, { terms: { standby: 1, replicas: { min: 1, max: 1 } } }, []],
    [
      'go where fewer are asked for, those first that do not serve',
      { a: ready, s1: { step: 'waiting' }, s2: readyAtBob },
      one,
      ['scale-down s1'],
    ],
    ['go with the terms', { a: ready, s: readyAtBob }, {}, ['scale-down s']],
    [
      'go with the last replica',
      { a: { step: 'ready', goal: 'drain' }, s: readyAtBob },
      one,
      ['drain a', 'scale-down s'],
    ],
  ])('%s', (_, all, world, actions) => expect(decide(all, world).actions).toEqual(actions));
});

describe('a standby', () => {
  const asked: One = { step: 'fetched' };

  it('lies on other machines than the replicas, with their context', () => {
    const options = { contextTokens: 4096 };
    expect(decide({ a: ready, s: asked }, one).actions).toEqual(['place s on bob with 2048']);
    expect(decide({ a: { ...readyAtBob, options }, s: { ...asked, options: {} } }, one).actions).toEqual([
      'place s on ada with 4096',
    ]);
  });

  it('lies over other stages than they where there are fewer machines', () => {
    const split = { ...context, stages: 2 };
    const all = { a: { step: 'ready', on: ['ada', 'bob'] }, s: { ...asked, options: split } } as const;
    expect(decide(all, { ...one, free: { ada: 3, bob: 3, cyd: 3 } }).actions).toEqual(['place s on cyd with 2048']);
  });

  it('lies on other machines than other standbys, also those that are placed at the same moment', () => {
    const all = { a: ready, s1: asked, s2: asked };
    const terms = { standby: 2 };
    expect(decide(all, { terms, free: { ada: 3, bob: 2.5, cyd: 2 } }).actions).toEqual([
      'place s1 on bob with 2048',
      'place s2 on cyd with 2048',
    ]);
    const { actions } = decide({ ...all, s1: readyAtBob }, { terms });
    expect(actions).toEqual(['wait s2']);
  });

  it('waits, with the reason, where there is no machine beside them', () => {
    const { all } = decide({ a: { step: 'ready', on: ['ada', 'bob'] }, s: asked }, one);
    expect(all).toMatchObject([
      { type: 'wait', id: 's', error: { code: 'no-peers', message: expect.stringMatching(/^no standby of tiny yet: /) as string } },
    ]); // prettier-ignore
  });

  it('gets what others leave that are placed at the same moment', () => {
    const all = { a: ready, s: { ...asked, options: large }, b: { ...asked, model: other.model, options: large } };
    const free = { ada: 0.1, bob: 2.5 };
    expect(decide(all, { ...one, free }).actions).toEqual(['place b on bob with 700000', 'wait s']);
  });

  it('serves instead of one that has no place of its own, rather than beside it on one machine', () => {
    const terms = { replicas: { min: 2, max: 2 }, standby: 1 };
    for (const step of ['fetched', 'waiting', 'not-fetched'] as const) {
      const { actions } = decide({ a: ready, s: readyAtBob, b: { step, isReplacement: true } }, { terms });
      expect(actions[0]).toBe(step === 'fetched' ? 'place b on ada with 2048' : 'promote s instead of b');
    }
    const lost = { b: { step: 'fetched', isReplacement: true }, s: readyAtBob } as const;
    expect(decide(lost, { ...one, free: { bob: 3 } }).actions).toEqual(['promote s instead of b']);
    expect(decide(lost, { ...one, free: { bob: 3, cyd: 3 } }).actions).toEqual(['place b on cyd with 2048']);
  });

  it('serves instead of no one that was asked for otherwise', () => {
    const wanted = { step: 'waiting', options: { contextTokens: 4096 } } as const;
    expect(decide({ b: wanted, s: readyAtBob }, one).actions).toEqual([]);
    expect(decide({ b: { step: 'waiting', avoid: [machines.bob] }, s: readyAtBob }, one).actions).toEqual([]);
  });

  it('serves instead of one that a request had made and that was lost, as long as anybody asks', () => {
    const onDemand = { isOnDemand: true, patience: 'none' } as const;
    const lost = { a: { step: 'failed', ...onDemand }, s: readyAtBob } as const;
    expect(decide(lost, one).actions).toEqual(['promote s instead of none']);
    expect(decide({ s: readyAtBob }, { ...one, demand: { running: 1 } }).actions).toEqual([
      'promote s instead of none',
    ]);
    expect(decide({ s: readyAtBob }, one).actions).toEqual(['scale-down s']);
  });

  it('is told to serve once it is none any more, as long as its card shows one', () => {
    const lead = { standby: true };
    expect(decide({ a: { ...readyAtBob, lead } }, { terms: {} }).actions).toEqual(['serve a']);
    expect(decide({ a: ready, s: { ...readyAtBob, lead } }, one).actions).toEqual([]);
  });

  it('is the last that requests get, and only if it serves', () => {
    const demand = (all: Readonly<Record<string, One>>, failed: readonly string[] = []) => {
      const { desired, observed } = decide(all, one);
      return deploymentFor({ model, failed }, desired, observed);
    };
    expect(demand({ s: readyAtBob, a: ready })).toEqual({ type: 'use', id: 'a' });
    expect(demand({ s: readyAtBob, a: ready }, ['a'])).toEqual({ type: 'use', id: 's' });
    expect(demand({ a: { step: 'loading' }, s: { step: 'loading' } })).toEqual({ type: 'use', id: 'a' });
  });
});

describe('the room of a standby', () => {
  const free = { ada: 3, bob: 0.1 };
  const held = { bytes: 2.5 * gibibyte };
  const world = { terms: { standby: 1, pinned: true }, free };
  const wanted: One = { step: 'fetched', model: other.model, options: large };
  const full = { ...readyAtBob, lead: held };

  it('is for whoever needs it, asked for or not, pinned or not', () => {
    const all = { a: ready, s: { ...readyAtBob, lead: held }, b: { ...wanted, avoid: [machines.ada] } };
    expect(decide(all, world).actions).toEqual(['evict s for b']);
  });

  it('is left to answers that have moved there, and to one that serves alone', () => {
    const busy = { a: ready, s: { ...full, lead: { ...held, active: 1 } }, b: { ...wanted, avoid: [machines.ada] } };
    // It waits for those to end.
    expect(decide(busy, world).actions).toEqual([]);
    const alone = { a: { step: 'loading' }, s: full, b: { ...wanted, avoid: [machines.ada] } } as const;
    expect(decide(alone, world).actions).toEqual(['wait b']);
  });

  it('is for no other standby', () => {
    const all = { a: ready, s: full, b: { ...ready, model: other.model }, s2: wanted };
    expect(decide(all, world).actions).not.toContainEqual(expect.stringMatching(/^evict/));
  });
});
