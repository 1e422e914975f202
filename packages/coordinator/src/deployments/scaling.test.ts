import { deploymentSpec } from '@skein/protocol';
import { describe, expect, it } from 'vitest';

import { cardOf, heldStageOf, peerIdOf, statusOf } from '../testing/fixtures.ts';
import { DemandHistory, loadsOf, type ModelDemand } from './demand.ts';
import { DesiredState } from './desired-state.ts';
import type { Progress } from './reconcile.ts';
import { scale, type ModelScaling } from './scaling.ts';

const model = 'a'.repeat(64);
const minute = 60_000;
const nowMs = 100 * minute;
const idleMs = 10 * minute;

function terms(min: number, max: number): ModelScaling {
  const range = { replicas: { min, max }, pinned: false, ...(min < max && { idleMs }) };
  return { ...range, id: 'terms', name: 'tiny', spec: deploymentSpec({}, model) };
}

type Replica = Progress | { readonly other: Progress };
const ready = { step: 'placed', status: statusOf({ state: 'ready' }), readySinceMs: 0 } as const;
const fresh = { ...ready, readySinceMs: nowMs - 5000 };
const coming: Progress = { step: 'fetching' };

function replicasOf(all: readonly Replica[]) {
  const state = new DesiredState();
  for (const [index, one] of all.entries()) {
    const spec = deploymentSpec('other' in one ? { sequences: 9 } : {}, model);
    state.add({ id: `replica-${index}`, name: 'tiny', spec });
  }
  return state.list().map((deployment, index) => {
    const one = all[index] ?? coming;
    return { deployment, progress: 'other' in one ? one.other : one };
  });
}

const quiet: ModelDemand = {
  running: 0,
  waiting: 0,
  usedAtMs: nowMs,
  waitingSinceMs: undefined,
  spareSinceMs: undefined,
};
const short: ModelDemand = { ...quiet, running: 4, waiting: 3, waitingSinceMs: nowMs - 15_000 };
const idle: ModelDemand = { ...quiet, usedAtMs: nowMs - idleMs };

it.each<
  [title: string, min: number, max: number, Replica[], Partial<{ demand: ModelDemand; added: number }>, string[]]
>([
  ['adds those that are owed', 2, 3, [], {}, ['add', 'add']],
  ['counts those that are coming', 2, 3, [ready, coming], {}, []],
  ['adds none for demand while the first is to be asked for', 0, 2, [], { demand: short }, []],
  ['adds one more when requests wait for long', 1, 3, [ready], { demand: short }, ['add extra']],
  ['adds no more than allowed', 1, 1, [ready], { demand: short }, []],
  ['adds none while one is coming', 1, 3, [ready, coming], { demand: short }, []],
  ['sees what the newest one is good for first', 1, 3, [ready, fresh], { demand: short }, []],
  ['adds one in a minute', 1, 3, [ready], { demand: short, added: nowMs - 50_000 }, []],
  ['waits before it adds', 1, 3, [ready], { demand: { ...short, waitingSinceMs: nowMs - 9000 } }, []],
  ['keeps all while they are used', 0, 3, [ready, ready], {}, []],
  ['unloads all that may go when nobody asked for long', 0, 3, [ready, ready], { demand: idle }, ['-1', '-0']],
  ['keeps those that are owed', 1, 3, [ready, ready, ready], { demand: idle }, ['-2', '-1']],
  [
    'takes the newest down that was not needed for long',
    1,
    3,
    [ready, ready, ready],
    { demand: { ...quiet, running: 3, spareSinceMs: nowMs - idleMs } },
    ['-2'],
  ],
  ['takes those down first that do not serve yet', 1, 2, [ready, coming, ready], {}, ['-1']],
  ['takes those of another spec down, once another one serves', 1, 1, [{ other: ready }, ready], {}, ['-0']],
  ['keeps the last one that serves until then', 1, 1, [{ other: ready }, coming], {}, []],
])('%s', (_, ...[min, max, all, { demand = quiet, added }, expected]) => {
  const scaled = { replicas: replicasOf(all), demand, addedAtMs: added, nowMs };
  const told = scale(terms(min, max), scaled).map((action) => {
    if (action.type === 'add') return action.isExtra ? 'add extra' : 'add';
    return action.id.replace('replica', '');
  });
  expect(told).toEqual(expected);
});

it('leaves models alone whose replicas come and go by hand', () => {
  const { replicas: _replicas, ...pinned } = { ...terms(0, 1), pinned: true };
  expect(scale(pinned, { replicas: replicasOf([ready]), demand: idle, addedAtMs: undefined, nowMs })).toEqual([]);
});

describe('the demand for a model', () => {
  const lead = (active: number, queued: number, id: string) => ({ ...heldStageOf(id), model, active, queued });
  const cardsWith = (...stages: ReturnType<typeof lead>[]) => [cardOf({ peer: peerIdOf(1), card: { stages } })];
  const queue = { model, admitted: 0, waiting: 0, bound: 8, refused: 0 };

  it('counts requests once that pass here and that leads show, and those ahead as running', () => {
    const cards = cardsWith(lead(4, 2, 'deployment-1'), lead(1, 3, 'deployment-2'));
    const { running, waiting } = loadsOf(cards, [{ ...queue, admitted: 6, waiting: 5 }], new Map([[model, 1]])).get(
      model,
    ) ?? { running: 0, waiting: 0 };
    expect({ running, waiting }).toEqual({ running: 5 + 4, waiting: 5 + 1 + 1 });
  });

  it('knows since when requests wait, one replica fewer would do, and nobody has asked', () => {
    const history = new DemandHistory();
    const after = (atMs: number, load: { running: number; waiting: number }, sequences = [4, 4]) =>
      history.observe(new Map([[model, { ...load, sequences }]]), [model], atMs).get(model);
    expect(after(0, { running: 8, waiting: 1 })).toMatchObject({ waitingSinceMs: 0, spareSinceMs: undefined });
    expect(after(5, { running: 8, waiting: 2 })).toMatchObject({ waitingSinceMs: 0 });
    expect(after(10, { running: 4, waiting: 0 })).toMatchObject({ waitingSinceMs: undefined, spareSinceMs: 10 });
    expect(after(15, { running: 0, waiting: 0 })).toMatchObject({ spareSinceMs: 10, usedAtMs: 10 });
    // Each replica that goes begins the wait for the next one anew.
    expect(after(20, { running: 0, waiting: 0 }, [4])).toMatchObject({ spareSinceMs: 20, usedAtMs: 10 });
    expect(after(25, { running: 1, waiting: 0 }, [4])).toMatchObject({ spareSinceMs: undefined, usedAtMs: 25 });
    expect(after(30, { running: 0, waiting: 0 }, [4])).toMatchObject({ spareSinceMs: 30, usedAtMs: 25 });
    // One that was over before anybody looked counts, too.
    history.use(model, 34);
    expect(after(35, { running: 0, waiting: 0 }, [4])).toMatchObject({ spareSinceMs: 35, usedAtMs: 34 });
  });
});
