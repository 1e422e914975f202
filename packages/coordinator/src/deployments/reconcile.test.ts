import {
  asSkeinError,
  deploymentSpec,
  plannedSpecSchema,
  SkeinError,
  type DeploymentOptions,
  type DeploymentSpec,
  type DeploymentState,
} from '@skein/protocol';
import { describe, expect, it, test } from 'vitest';

import {
  cardOf,
  desiredOf,
  gibibyte,
  heldStageOf,
  manifestOf,
  mebibyte,
  peerIdOf,
  statusOf,
} from '../testing/fixtures.ts';
import type { DesiredDeployment } from './desired-state.ts';
import { deploymentFor, reconcile, type Action, type Observed, type Progress } from './reconcile.ts';
import { machinesOf } from './retry.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];
const manifest = manifestOf({ name: 'tiny', layers: 8 });
const { model } = manifest;
/** Leaves too little for a second one on either machine. */
const large = { contextTokens: 700_000 };

interface Wanted extends Partial<Omit<DesiredDeployment, 'id' | 'spec'>> {
  readonly options?: DeploymentOptions;
  readonly model?: string;
}

function desired(id: string, { options = {}, model: named = model, ...wanted }: Wanted = {}): DesiredDeployment {
  return desiredOf(id, { ...wanted, spec: deploymentSpec(options, named) });
}

function placed(id: string, state: DeploymentState, change: Parameters<typeof statusOf>[0] = {}): Progress {
  return { step: 'placed', status: statusOf({ id, model, state, ...change }) };
}

const fetched: Progress = { step: 'fetched', manifest, sinceMs: 0 };

/** Two machines of which the first, and roomier one, holds the model. Deployments that are named are shown on its card. */
function observed(
  progress: Readonly<Record<string, Progress>>,
  world: { shown?: string; ended?: string } = {},
): Observed {
  const { shown, ended } = world;
  const stages = shown === undefined ? [] : [heldStageOf(shown)];
  return {
    cards: [
      cardOf({ peer: ada, freeBytes: 3 * gibibyte, holds: [manifest], card: { stages } }),
      cardOf({ peer: bob, freeBytes: 2.5 * gibibyte }),
    ],
    progress: new Map(Object.entries(progress)),
    ended: new Set(ended === undefined ? [] : [ended]),
    nowMs: 0,
    demand: new Map(),
    addedAtMs: new Map(),
  };
}

function nameOf(peer: string): string {
  return peer === ada ? 'ada' : 'bob';
}

/** An action in a few words. */
function told(action: Action): string {
  const { type, id } = action;
  if (type === 'refuse' || type === 'wait') return `${type} ${id}: ${asSkeinError(action.error).code}`;
  if (type === 'release') return `release ${id} on ${nameOf(action.peer)}`;
  if (type !== 'place') return `${type} ${id}`;
  const { plan, spec } = action.placement;
  const machines = plan.stages.map(({ peer }) => nameOf(peer));
  return `place ${id} on ${machines.join(' and ')} with ${spec.contextTokens}`;
}

const first = desired('a');
const released = 'release z on ada';

describe('a deployment that is to serve', () => {
  it.each<[title: string, Progress | undefined, { shown?: string; ended?: string }, readonly string[]]>([
    ['is begun with the manifest of its model', undefined, {}, ['fetch a']],
    ['is begun beside deployments of others', { step: 'asked' }, { shown: 'of-others' }, ['fetch a']],
    ['waits while a card shows a stage of one that is over', { step: 'asked' }, { shown: 'z', ended: 'z' }, [released]],
    ['waits for that no longer than it may', { step: 'overdue' }, { shown: 'z', ended: 'z' }, [released, 'fetch a']],
    ['is left alone while its manifest is under way', { step: 'fetching' }, {}, []],
    ['is placed when its manifest is there', fetched, {}, ['place a on ada with 2048']],
    [
      'is refused when nobody gives the manifest',
      { step: 'not-fetched', error: new SkeinError('model-unreachable', 'no holder answered') },
      {},
      ['refuse a: model-unreachable'],
    ],
    ['is left alone while it loads', placed('a', 'loading'), {}, []],
    ['is left alone while its ring is closed', placed('a', 'connecting'), {}, []],
    ['is left alone while it serves', placed('a', 'ready'), {}, []],
    ['is not placed again by itself when it never served', placed('a', 'failed'), {}, []],
  ])('%s', (_, progress, world, actions) => {
    const known = progress === undefined ? {} : { a: progress };
    expect(reconcile([first], observed(known, world)).map(told)).toEqual(actions);
  });

  it('waits for cards to show no stage of one that was lost', () => {
    const both = [first, desired('b')];
    const progress = { a: placed('a', 'failed'), b: { step: 'asked' } as const };
    expect(reconcile(both, observed(progress, { shown: 'a' })).map(told)).toEqual(['release a on ada']);
    expect(reconcile(both, observed(progress)).map(told)).toEqual(['fetch b']);
  });

  it.each<[title: string, error: SkeinError, Partial<DesiredDeployment>, action: string]>([
    ['is refused where its caller has no patience', new SkeinError('no-peers', 'none'), {}, 'refuse'],
    ['waits for what may pass', new SkeinError('no-peers', 'none'), { patience: 'passing' }, 'wait'],
    ['does not wait for what stays', new SkeinError('engine-incompatible', 'old'), { patience: 'passing' }, 'refuse'],
    [
      'waits for anything once it has served',
      new SkeinError('engine-incompatible', 'old'),
      { patience: 'all' },
      'wait',
    ],
  ])('%s', (_, error, wanted, action) => {
    const actions = reconcile([desired('a', wanted)], observed({ a: { step: 'not-fetched', error } }));
    expect(actions).toEqual([{ type: action, id: 'a', error }]);
    const lost = placed('a', 'failed', { error: { code: error.code, message: '' } });
    const after = reconcile([desired('a', wanted)], observed({ a: lost })).map(told);
    expect(after).toEqual(action === 'wait' ? ['replace a'] : []);
    expect(reconcile([desired('a', { ...wanted, replacedBy: 'b' })], observed({ a: lost }))).toEqual([]);
  });

  it('that waits is tried again when it is due, and when machines or models come or go', () => {
    const { cards } = observed({});
    const waiting = { step: 'waiting', isDue: false, machines: machinesOf(cards) } as const;
    const after = (progress: Progress) => reconcile([first], observed({ a: progress })).map(told);
    expect(after(waiting)).toEqual([]);
    expect(after({ ...waiting, isDue: true })).toEqual(['retry a']);
    expect(after({ ...waiting, machines: machinesOf(cards.slice(1)) })).toEqual(['retry a']);
  });

  describe('that an earlier coordinator has placed', () => {
    const stages = [ada, bob].map((peer, index) => ({ peer, block: { from: 4 * index, to: 4 + 4 * index }, bytes: 1 }));
    const spec = plannedSpecSchema.parse({ model, contextTokens: 512 });
    const placement = { spec, stages, explanation: 'split', startedAt: 1 };
    const known = { placement, patience: 'all' } as const;

    /** Tells what is done where machines show these stages of it; a machine without a list is not there. */
    function after(shown: Readonly<Record<string, readonly number[]>>, progress: Progress = { step: 'restored' }) {
      const cards = Object.entries(shown).map(([peer, numbers]) =>
        cardOf({
          peer,
          holds: [manifest],
          card: { stages: numbers.map((stage) => ({ ...heldStageOf('a'), stage, stages: 2 })) },
        }),
      );
      const onDemand = { ...known, isOnDemand: true, patience: 'none' } as const;
      return [known, onDemand].map((wanted) =>
        reconcile([desired('a', wanted)], { ...observed({ a: progress }), cards }).map(({ type }) => type),
      );
    }

    it.each<[title: string, Parameters<typeof after>, expected: readonly (readonly string[])[]]>([
      ['is adopted where all of it serves', [{ [ada]: [0], [bob]: [1] }], [['adopt'], ['adopt']]],
      ['is waited for while a machine is missing', [{ [ada]: [0] }], [[], []]],
      ['is waited for while some of it is about to end', [{ [ada]: [0], [bob]: [] }], [[], []]],
      ['is placed anew where it is gone, if somebody asked', [{ [ada]: [], [bob]: [] }], [['fetch'], ['close']]],
      ['is not waited for longer than it may take', [{ [ada]: [] }, { step: 'overdue' }], [['fetch'], ['close']]],
      ['is adopted late', [{ [ada]: [0], [bob]: [1] }, { step: 'overdue' }], [['adopt'], ['adopt']]],
    ])('%s', (_, given, expected) => expect(after(...given)).toEqual(expected));
  });

  it('lies on none of the machines that it avoids, and waits where there is no other', () => {
    const placedAs = (avoid: readonly string[]) =>
      reconcile([desired('a', { avoid, isReplacement: true, patience: 'all' })], observed({ a: fetched })).map(told);
    expect(placedAs([ada])).toEqual(['place a on bob with 2048']);
    expect(placedAs([ada, bob])).toEqual([expect.stringMatching(/^wait a: /)]);
  });

  it('lies on machines with its labels alone, whole or not at all', () => {
    const { cards } = observed({});
    const labelled = cards.map((card) => ({ ...card, labels: card.peer === bob ? { zone: 'eu' } : { zone: 'us' } }));
    const after = (options: DeploymentOptions) =>
      reconcile([desired('a', { options })], { ...observed({ a: fetched }), cards: labelled }).map(told);
    expect(after({ labels: { zone: 'eu' } })).toEqual(['place a on bob with 2048']);
    expect(after({ labels: { zone: 'us' } })).toEqual(['place a on ada with 2048']);
    expect(after({ labels: { zone: 'eu' }, stages: 2 })).toEqual(['refuse a: no-peers']);
    expect(after({ labels: { zone: 'eu', class: 'confidential' } })).toEqual(['refuse a: no-peers']);
  });

  it('gets no more context unasked than the coordinator gives', () => {
    const given = reconcile([first], observed({ a: fetched }), { contextTokens: 1024 });
    expect(given.map(told)).toEqual(['place a on ada with 1024']);
  });

  it('is refused when it does not fit as it was asked for', () => {
    const asked = desired('a', { options: { contextTokens: 16_000_000 } });
    expect(reconcile([asked], observed({ a: fetched })).map(told)).toEqual(['refuse a: does-not-fit']);
    const split = desired('a', { options: { stages: 3 } });
    expect(reconcile([split], observed({ a: fetched })).map(told)).toEqual(['refuse a: no-peers']);
  });

  it('sees the memory that others take which are placed at the same moment', () => {
    const both = [desired('a', { options: large }), desired('b', { options: large })];
    expect(reconcile(both, observed({ a: fetched, b: fetched })).map(told)).toEqual([
      'place a on ada with 700000',
      'place b on bob with 700000',
    ]);
  });

  it('sees the memory of stages that load, which cards do not show yet', () => {
    const stage = { peer: ada, block: { from: 0, to: 8 }, plannedBytes: 2 * gibibyte, state: 'loading' as const };
    const progress = { a: placed('a', 'loading', { stages: [stage] }), b: fetched };
    const both = [first, desired('b', { options: large })];
    expect(reconcile(both, observed(progress)).map(told)).toEqual(['place b on bob with 700000']);
  });

  it('is promised room when one that is drained has it', () => {
    const both = [desired('a', { goal: 'drain' }), desired('b', { options: { contextTokens: 16_000_000 } })];
    const progress = { a: placed('a', 'draining', { running: 1, name: 'tiny' }), b: fetched };
    const [refused] = reconcile(both, observed(progress));
    expect(refused).toMatchObject({
      type: 'refuse',
      id: 'b',
      error: { code: 'no-peers', message: expect.stringContaining('`skein undeploy a --now`') as string },
    });
  });
});

describe('a replacement', () => {
  it.each<[title: string, DeploymentOptions, string]>([
    ['gets what was asked for', { stages: 2, contextTokens: 512 }, 'place b on ada and bob with 512'],
    [
      'gets other stages where there are too few machines',
      { stages: 3, contextTokens: 512 },
      'place b on ada with 512',
    ],
    [
      'gets the default context where that much does not fit',
      { contextTokens: 16_000_000 },
      'place b on ada with 2048',
    ],
    ['gets no other layers than the model has', { layers: [3, 3] }, 'refuse b: invalid-request'],
  ])('%s', (_, options, action) => {
    const replacement = desired('b', { options, isReplacement: true });
    expect(reconcile([replacement], observed({ b: fetched })).map(told)).toEqual([action]);
  });

  it('is refused with what stands against the spec as it was asked for', () => {
    const wide = manifestOf({ name: 'tiny', layers: 8, layerBytes: 900 * mebibyte });
    const replacement = desired('b', { options: { stages: 3 }, isReplacement: true });
    const actions = reconcile([replacement], observed({ b: { step: 'fetched', manifest: wide, sinceMs: 0 } }));
    expect(actions.map(told)).toEqual(['refuse b: no-peers']);
  });

  it('takes lost deployments of its model off the list, and of no other one', () => {
    const other = 'f'.repeat(64);
    const all = [first, desired('o', { model: other }), desired('b', { isReplacement: true })];
    const progress = { a: placed('a', 'failed'), o: placed('o', 'failed', { model: other }), b: fetched };
    expect(reconcile(all, observed(progress)).map(told)).toEqual(['place b on ada with 2048', 'remove a']);
  });

  it('leaves lost ones in the list when it is refused itself', () => {
    const all = [first, desired('b', { options: { layers: [3, 3] }, isReplacement: true })];
    expect(reconcile(all, observed({ a: placed('a', 'failed'), b: fetched })).map(told)).toEqual([
      'refuse b: invalid-request',
    ]);
  });
});

describe('a deployment that is to go', () => {
  it.each<[goal: 'drain' | 'end', what: string, Progress, readonly string[]]>([
    ['drain', 'that serves', placed('a', 'ready'), ['drain a']],
    ['drain', 'that is drained, before it says what runs', placed('a', 'draining'), []],
    ['drain', 'of which an answer runs', placed('a', 'draining', { running: 1 }), []],
    ['drain', 'of which none runs any more', placed('a', 'draining', { running: 0 }), ['close a']],
    ['drain', 'that loads', placed('a', 'loading'), ['close a']],
    ['drain', 'whose ring is being closed', placed('a', 'connecting'), ['close a']],
    ['drain', 'that is lost', placed('a', 'failed'), ['close a']],
    ['drain', 'of which the manifest is under way', { step: 'fetching' }, ['close a']],
    ['end', 'that serves', placed('a', 'ready'), ['close a']],
    ['end', 'of which answers run', placed('a', 'draining', { running: 2 }), ['close a']],
    ['end', 'that nothing was done for', { step: 'asked' }, ['close a']],
    ['end', 'that was to be planned', fetched, ['close a']],
  ])('%ss: one %s', (goal, _, progress, actions) => {
    expect(reconcile([desired('a', { goal })], observed({ a: progress })).map(told)).toEqual(actions);
  });
});

test('decides for each deployment by itself, in their order', () => {
  const all = [desired('a', { goal: 'end' }), desired('b'), desired('c', { goal: 'drain' })];
  const progress = { a: placed('a', 'ready'), b: fetched, c: placed('c', 'ready') };
  expect(reconcile(all, observed(progress)).map(told)).toEqual(['close a', 'place b on ada with 2048', 'drain c']);
});

describe('the deployment that answers a request', () => {
  const spec = deploymentSpec({ stages: 2 }, model);
  const lost = (id: string) => ({ ...desired(id), spec });

  interface Case {
    readonly all: readonly DesiredDeployment[];
    readonly progress: Readonly<Record<string, Progress>>;
    readonly failed?: readonly string[];
    readonly options?: DeploymentOptions;
    /** Id of the one to use; else what is added. */
    readonly is: string | { readonly spec: DeploymentSpec | undefined };
  }
  const [ready, alsoReady] = [placed('a', 'ready'), placed('b', 'ready')];
  const both = [first, desired('b')];
  const elsewhere = desired('a', { model: 'f'.repeat(64) });

  it.each<[title: string, Case]>([
    ['is a new one where there is none', { all: [], progress: {}, is: { spec: undefined } }],
    ['is the first that serves', { all: both, progress: { a: ready, b: alsoReady }, is: 'a' }],
    ['is one that serves rather than one that is coming', { all: both, progress: { b: alsoReady }, is: 'b' }],
    ['is none that has just failed', { all: both, progress: { a: ready, b: alsoReady }, failed: ['a'], is: 'b' }],
    ['is the one that is coming', { all: [first], progress: { a: { step: 'fetching' } }, is: 'a' }],
    ['is the last one of those', { all: both, progress: { a: placed('a', 'loading') }, is: 'b' }],
    [
      'is a new one beside those that go',
      { all: [desired('a', { goal: 'drain' })], progress: { a: ready }, is: { spec: undefined } },
    ],
    ['is a new one beside another model', { all: [elsewhere], progress: { a: ready }, is: { spec: undefined } }],
    [
      'is like the one that was lost last',
      { all: [first, lost('b')], progress: { a: placed('a', 'failed'), b: placed('b', 'failed') }, is: { spec } },
    ],
    [
      'is the one that replaces a lost one already',
      { all: [lost('a'), desired('b')], progress: { a: placed('a', 'failed'), b: fetched }, is: 'b' },
    ],
    [
      'is the one that was asked for alike',
      {
        all: [desired('a', { options: { layers: [3, 5] } }), first],
        progress: {},
        options: { layers: [3, 5] },
        is: 'a',
      },
    ],
    [
      'is the one that was planned so',
      {
        all: both,
        progress: { a: placed('a', 'loading', { stages: [] }), b: fetched },
        options: { stages: 0 },
        is: 'a',
      },
    ],
    [
      'is a new one where those there are asked for otherwise',
      { all: both, progress: { a: ready }, options: { sequences: 2, stages: undefined }, is: { spec: undefined } },
    ],
  ])('%s', (_, { all, progress, failed = [], options, is }) => {
    const expected = typeof is === 'string' ? { type: 'use', id: is } : { type: 'add', ...is };
    expect(deploymentFor({ model, failed, options }, all, observed(progress))).toEqual(expected);
  });
});
