import { createMesh, Authority, type Mesh } from '@skein/mesh';
import {
  generationRequestSchema,
  methods,
  parseHeader,
  SkeinError,
  type Card,
  type DeploymentStatus,
} from '@skein/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { cardOf, heldStageOf, peerIdOf, statusOf } from '../testing/fixtures.ts';
import { ManualTimers } from '../testing/manual-timers.ts';
import { Canaries } from './canaries.ts';

/** The member that answers for all leads, each with the tokens that the test wants. */
let member: Mesh;
let answers: Record<string, readonly number[] | undefined>;
/** Deployments that were asked, in order. */
let asked: string[];
let active: Record<string, number>;
/** Processors of the machines, where they are not the same. */
let cpus: Record<string, string>;
let served: string[];
/** Machines of replicas that lie on another one's. */
let hosts: Record<string, string>;
let replaced: [string, readonly string[]][];
let reports: string[];
let doubts: Card['doubts'];
let nowMs: number;
/** A replica that says nothing, again and again, and comes to no end. */
let endless: string | undefined;

beforeEach(async () => {
  const authority = await Authority.ephemeral();
  member = await createMesh({ ...(await authority.enroll(['coordinator'])), roles: ['coordinator'], mdns: false });
  member.handle(methods.generate, async (stream) => {
    const { deployment, sampling } = parseHeader(generationRequestSchema, (await stream.read())?.header);
    asked.push(deployment);
    if (deployment === endless) {
      for (;;) {
        await stream.write({ type: 'text-delta', text: '', tokens: [] });
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
    }
    const tokens = answers[deployment];
    if (tokens === undefined) throw new SkeinError('stage-lost', 'gone');
    await stream.write({ type: 'text-delta', text: 'x', tokens: [...tokens] });
    const usage = { promptTokens: 1, completionTokens: sampling.temperature };
    await stream.write({
      type: 'generation-end',
      finishReason: 'stop',
      usage,
      timings: { firstTokenMs: 1, decodeMs: 1 },
    });
  });
  await member.start();
  [answers, asked, active, cpus, served, reports] = [{}, [], {}, {}, ['a', 'b', 'c'], []];
  [doubts, endless, hosts, replaced] = [undefined, undefined, {}, []];
  nowMs = 0;
});
afterEach(async () => await member.stop());

const replica = (letter: string) => `replica-${letter}`;
const peerOf = (letter: string) => peerIdOf(letter.codePointAt(0) ?? 0);

function deployments(): DeploymentStatus[] {
  return served.map((letter) => {
    const placement = { backend: 'cpu', devices: [], cpuLayers: 8, fallbacks: [] };
    const stage = {
      peer: peerOf(hosts[letter] ?? letter),
      block: { from: 0, to: 8 },
      plannedBytes: 1,
      state: 'ready',
      placement,
    } as const;
    return statusOf({ id: replica(letter), stages: [stage] });
  });
}

function cards(): Card[] {
  return served.map((letter) => {
    const card = cardOf({ peer: peerOf(hosts[letter] ?? letter), card: { stages: [{ ...heldStageOf(replica(letter)), active: active[letter] ?? 0 }] } }); // prettier-ignore
    const { hardware } = card;
    return hardware === undefined ? card : { ...card, hardware: { ...hardware, cpu: cpus[letter] ?? hardware.cpu } };
  });
}

function canaries(timers = new ManualTimers()): Canaries {
  return new Canaries({
    mesh: {
      open: async (_, method, options) => await member.open(member.peerId, method, options),
      cards: { ...member.cards, snapshot: cards },
      updateCard: (change) => (doubts = change.doubts),
    },
    deployments: {
      list: deployments,
      replaceWrong: (id, { avoid }) => void replaced.push([id, avoid]),
    },
    schedule: timers.schedule,
    now: () => nowMs,
    random: () => 0.5,
    newId: () => 'id',
    onReport: ({ deployment, verdict }) => reports.push(`${deployment.id} ${verdict}`),
    onError: () => undefined,
  });
}

/** Says what each of the replicas answers, one digit each. */
function say(digits: string): void {
  served.forEach((letter, index) => (answers[replica(letter)] = [Number(digits[index])]));
}

it('takes out a replica that disagrees with most, twice, has it replaced elsewhere, and tells all members', async () => {
  const watch = canaries();
  say('112');
  await watch.look();
  expect(asked).toEqual(['a', 'b', 'c', 'a', 'b', 'c'].map(replica));
  expect(reports).toEqual(['replica-c out']);
  const told = [
    { deployment: 'replica-c', isOut: true, taken: { name: expect.any(String) as string, peers: [peerOf('c')] } },
  ];
  expect(doubts).toEqual(told);
  expect(replaced).toEqual([['replica-c', [peerOf('c')]]]);
  expect(watch.out()).toEqual(['replica-c']);
  expect(['a', 'b', 'c'].map((letter) => watch.isOut(replica(letter)))).toEqual([false, false, true]);
  // It is not asked again, and the others are once they are due.
  nowMs = 600_000;
  await watch.look();
  expect(asked.slice(6)).toEqual(['a', 'b'].map(replica));
  served = ['a', 'b'];
  await watch.look();
  expect([doubts, watch.out()]).toEqual([told, ['replica-c']]);
  // Somebody has seen to its machine, and deploys the model there.
  served = ['a', 'b', 'd'];
  hosts = { d: 'c' };
  say('111');
  await watch.look();
  expect([doubts, watch.out()]).toEqual([[], []]);
});

it('asks every ten minutes and when a replica is new, only while all of its kind are idle', async () => {
  const watch = canaries();
  say('111');
  active = { b: 1 };
  await watch.look();
  expect(asked).toEqual([]);
  active = {};
  await watch.look();
  nowMs = 599_999;
  await watch.look();
  expect(asked).toHaveLength(3);
  served = ['a', 'b', 'c', 'd'];
  say('1111');
  await watch.look();
  expect(asked).toHaveLength(7);
  nowMs += 600_000;
  await watch.look();
  expect(asked).toHaveLength(11);
  expect(reports).toEqual([]);
});

it('doubts both of two, until a third one tells which is right', async () => {
  const watch = canaries();
  served = ['a', 'b'];
  say('12');
  await watch.look();
  expect(reports).toEqual(['replica-a doubted', 'replica-b doubted']);
  expect(doubts).toEqual([replica('a'), replica('b')].map((deployment) => ({ deployment, isOut: false })));
  served = ['a', 'b', 'c'];
  say('121');
  await watch.look();
  expect(reports.slice(2)).toEqual(['replica-a sound', 'replica-b out']);
});

it('takes out the one of two that answers otherwise than before', async () => {
  const watch = canaries();
  served = ['a', 'b'];
  say('11');
  await watch.look();
  nowMs = 600_000;
  say('21');
  await watch.look();
  expect(reports).toEqual(['replica-a out']);
});

it('compares no replicas on other processors, and judges none that gives no answer', async () => {
  const watch = canaries();
  cpus = { c: 'another' };
  say('112');
  answers[replica('b')] = undefined;
  await watch.look();
  expect(asked).toEqual(['a', 'b', 'c'].map(replica));
  expect(reports).toEqual([]);
});

it('gives up on a replica that goes on without end, and judges one that says more than it was asked for', async () => {
  const timers = new ManualTimers();
  const watch = canaries(timers);
  say('111');
  answers[replica('b')] = Array.from({ length: 13 }, () => 1);
  endless = 'replica-c';
  const looking = watch.look();
  await expect.poll(() => asked.at(-1)).toBe('replica-c');
  timers.advance(180_000);
  await expect.poll(() => asked.length).toBe(6);
  timers.advance(180_000);
  await looking;
  // Two that differ, of which nobody knows which is wrong, and one that said nothing.
  expect(reports).toEqual(['replica-a doubted', 'replica-b doubted']);
});

it('looks every half minute or so once it was started, until it is stopped', async () => {
  const timers = new ManualTimers();
  const watch = canaries(timers);
  say('111');
  watch.start();
  timers.advance(29_999);
  expect(asked).toEqual([]);
  timers.advance(1);
  await expect.poll(() => asked).toHaveLength(3);
  await expect.poll(() => timers.count).toBe(1);
  watch.stop();
  await expect.poll(() => timers.count).toBe(0);
});
