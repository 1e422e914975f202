import { packPrompt, type HeldStage, type PackedPrompt } from '@skein/protocol';
import { describe, expect, test } from 'vitest';

import { cardOf, CardsView, leadOf, tiny } from '../testing/cards.ts';
import { Replicas, type ReplicaQuery, type ReplicasOptions } from './replicas.ts';

const [ada, bob] = [
  { deployment: 'deployment-1', lead: 'ada' },
  { deployment: 'deployment-2', lead: 'bob' },
];
const speed = { decodeMsPerLayer: 1, prefillMsPerTokenPerLayer: 0.25, headMs: 1 };
const adaCard = (stage: Partial<Parameters<typeof leadOf>[0]> = {}) =>
  cardOf('ada', { stages: [leadOf({ deployment: ada.deployment, speed, ...stage })] });
const bobCard = cardOf('bob', { stages: [leadOf({ deployment: bob.deployment, speed })] });
const prompt = packPrompt({ type: 'text', text: 'word '.repeat(800) });
const begin = { type: 'generation-begin', promptTokens: 1000 } as const;

function over(view: CardsView, options: Partial<ReplicasOptions> = {}): Replicas {
  return new Replicas({ cards: view, random: () => 0, now: () => 0, ...options });
}

test('spreads requests that come together, before any card tells of them', () => {
  const replicas = over(new CardsView([adaCard(), bobCard]));
  const taken = Array.from({ length: 4 }, () => replicas.take(replicas.choose({ prompt }) ?? ada));
  expect(taken.map(({ lead }) => lead)).toEqual(['ada', 'bob', 'ada', 'bob']);
});

test('counts each attempt until it is over, once', () => {
  const replicas = over(new CardsView([adaCard(), bobCard]));
  const [first, second] = [replicas.take({ ...ada, prompt }), replicas.take({ ...ada, prompt })];
  first[Symbol.dispose]();
  first[Symbol.dispose]();
  expect(replicas.choose({ prompt })).toMatchObject(bob);
  second[Symbol.dispose]();
  expect(replicas.choose({ prompt })).toMatchObject(ada);
});

test('adds its requests to what the card says, until a card of the lead comes that tells of them', () => {
  const view = new CardsView([adaCard({ waitingTokens: 500 }), bobCard]);
  const replicas = over(view);
  using attempt = replicas.take({ ...ada, prompt });
  const costAtAda = () => replicas.choose({ prompt, prefer: ada })?.why.cost ?? 0;
  const alone = costAtAda();
  expect(alone).toBeGreaterThan(2500);
  // A card from before the lead has taken the request tells of others.
  view.set([adaCard({ waitingTokens: 500, active: 1 }), bobCard]);
  expect(costAtAda()).toBeGreaterThanOrEqual(alone);
  attempt.observe(begin);
  expect(costAtAda()).toBeGreaterThanOrEqual(alone);
  view.set([adaCard({ waitingTokens: 1500, active: 2 }), bobCard]);
  expect(costAtAda()).toBeLessThan(alone + 200);
});

test('takes a lead that has a request to tell of it after a while, whether its card has changed or not', () => {
  let nowMs = 0;
  const replicas = over(new CardsView([adaCard(), bobCard]), { now: () => nowMs });
  using attempt = replicas.take({ ...ada, prompt });
  attempt.observe(begin);
  expect(replicas.choose({ prompt })).toMatchObject(bob);
  nowMs = 4000;
  expect(replicas.choose({ prompt })).toMatchObject(ada);
});

test('learns how many tokens a text has from what leads make of it', () => {
  const replicas = over(new CardsView([adaCard()]));
  const tokens = () => replicas.choose({ model: tiny.model, prompt })?.why.cost;
  expect(tokens()).toBe(1000);
  for (let nth = 0; nth < 200; nth += 1) {
    using attempt = replicas.take({ ...ada, prompt });
    attempt.observe({ type: 'generation-begin', promptTokens: 2000 });
  }
  expect(tokens()).toBeCloseTo(2000, -1);
  expect(
    replicas.choose({ model: tiny.model, prompt: packPrompt({ type: 'tokens', tokens: [1, 2, 3] }) })?.why.cost,
  ).toBe(3);
});

test('leaves out what may not serve, and what the request has lost', () => {
  const view = new CardsView([adaCard(), bobCard]);
  const replicas = over(view, { mayServe: (deployment) => deployment !== ada.deployment });
  expect(replicas.choose({})).toMatchObject(bob);
  expect(replicas.choose({ lost: new Set([bob.deployment]) })).toBeUndefined();
  expect(replicas.cards().flatMap(({ stages }) => stages.map(({ deployment }) => deployment))).toEqual([
    bob.deployment,
  ]);
});

test('leaves out what a coordinator has found to be wrong, and nobody else', () => {
  const view = new CardsView([adaCard(), bobCard]);
  const replicas = over(view);
  const told = (roles: ('coordinator' | 'peer')[], isOut: boolean) =>
    view.set([adaCard(), bobCard, { ...cardOf('carl', {}), roles, doubts: [{ deployment: ada.deployment, isOut }] }]);
  told(['peer'], true);
  expect(replicas.choose({})).toMatchObject(ada);
  told(['coordinator'], false);
  expect(replicas.choose({})).toMatchObject(ada);
  told(['coordinator'], true);
  expect(replicas.choose({})).toMatchObject(bob);
  expect(replicas.cards().map(({ stages }) => stages.length)).toEqual([0, 1, 0]);
});

describe('a standby', () => {
  const standbyOf = (peer: string, content: Partial<HeldStage> = {}) =>
    leadOf({ deployment: `standby-at-${peer}`, speed, standby: true, ...content });
  const cyd = { deployment: 'standby-at-cyd', lead: 'cyd' };
  const cydCard = cardOf('cyd', { stages: [standbyOf('cyd')], labels: { zone: 'eu' } });
  const busy = adaCard({ waitingTokens: 1_000_000 });

  test.each<[string, ReplicaQuery]>([
    ['the others are lost', { lost: new Set([ada.deployment]) }],
    ['the others have failed the request', { exclude: [ada] }],
    ['the others are on machines without its labels', { labels: { zone: 'eu' } }],
    ['the request is the rest of an answer', { isRest: true }],
  ])('takes a request where %s', (_, query) => {
    const replicas = over(new CardsView([busy, cydCard]));
    expect(replicas.choose({ prompt, model: tiny.model })).toMatchObject(ada);
    expect(replicas.choose({ prompt, model: tiny.model, ...query })).toMatchObject(cyd);
  });

  test('takes new ones while no other serves, and like any other once it is none', () => {
    const view = new CardsView([adaCard({ state: 'draining' }), cydCard]);
    const replicas = over(view, { mayServe: (deployment) => deployment !== bob.deployment });
    expect([replicas.choose({}), replicas.sequencesOf(tiny.model)]).toMatchObject([cyd, [4]]);
    view.set([bobCard, cydCard]);
    expect([replicas.choose({}), replicas.sequencesOf(tiny.model)]).toMatchObject([cyd, [4]]);
    view.set([busy, cydCard]);
    expect([replicas.choose({ prompt }), replicas.sequencesOf(tiny.model)]).toMatchObject([ada, [4]]);
    view.set([busy, cardOf('cyd', { stages: [standbyOf('cyd', { standby: false })] })]);
    expect([replicas.choose({ prompt }), replicas.sequencesOf(tiny.model)]).toMatchObject([cyd, [4, 4]]);
  });

  test('follows an answer on other machines, with the labels that it asks for', () => {
    const split = { deployment: 'standby-split', stages: 2, standby: true };
    const view = new CardsView([
      cardOf('ada', { stages: [leadOf({ deployment: ada.deployment, speed }), leadOf({ ...split, stage: 1 })] }),
      cardOf('bob', { stages: [leadOf({ deployment: bob.deployment, speed, active: 1 }), leadOf(split)] }),
    ]);
    const replicas = over(view);
    const follower = (query: Parameters<Replicas['follower']>[0] = {}) => replicas.follower(query, ada);
    expect([follower(), replicas.follower({}, cyd)]).toEqual([undefined, undefined]);
    const bobBusy = cardOf('bob', { stages: [leadOf({ deployment: bob.deployment, speed, active: 1 })] });
    view.set([adaCard({ active: 1 }), bobBusy, cydCard]);
    expect(follower({ prompt })).toEqual(cyd);
    expect(follower({ labels: { zone: 'eu' } })).toEqual(cyd);
    expect(follower({ labels: { zone: 'us' } })).toBeUndefined();
    expect(follower({ lost: new Set([cyd.deployment]) })).toBeUndefined();
    expect(replicas.follower({}, cyd)).toBeUndefined();
  });

  test('is followed by the replicas that have nothing to do, one of which stays as long as it has not', () => {
    const idle = (peer: string, rest: Partial<HeldStage> = {}) =>
      cardOf(peer, { stages: [leadOf({ deployment: `idle-at-${peer}`, speed, ...rest })] });
    const routeOf = (lead: string) => ({ deployment: `idle-at-${lead}`, lead });
    const view = new CardsView([adaCard({ active: 1 }), idle('dan'), idle('eve'), cydCard]);
    const replicas = over(view);
    expect(replicas.follower({}, ada)).toEqual(cyd);
    view.set([adaCard({ active: 1 }), idle('dan'), idle('eve')]);
    for (const peer of ['dan', 'eve']) expect(replicas.follower({ prefer: routeOf(peer) }, ada)).toEqual(routeOf(peer));
    using _taken = replicas.take(routeOf('dan'));
    expect(replicas.follower({ prefer: routeOf('dan') }, ada)).toEqual(routeOf('eve'));
    view.set([adaCard({ active: 1 }), idle('dan'), idle('eve', { queued: 1 })]);
    expect(replicas.follower({}, ada)).toBeUndefined();
  });
});

test('spreads the streams of one lost replica over those that are left, though all were read along at one of them', () => {
  const idle = (peer: string) =>
    cardOf(peer, { stages: [leadOf({ deployment: `at-${peer}`, speed, sequences: 2, sequenceMs: 9000 })] });
  const replicas = over(new CardsView([adaCard({ sequences: 2 }), ...['dan', 'eve', 'fay'].map(idle)]));
  const dan = { deployment: 'at-dan', lead: 'dan' };
  const query = { prompt, prefer: dan, isRest: true, exclude: [ada] };
  const taken = Array.from({ length: 4 }, () => replicas.take(replicas.choose(query) ?? ada));
  expect(taken.map(({ lead }) => lead)).toEqual(['dan', 'dan', 'eve', 'fay']);
  taken[0]?.[Symbol.dispose]();
  expect(replicas.choose(query)).toMatchObject(dan);
});

test('finds a model by its hash, and forgets a replica with its card', () => {
  const other = 'b'.repeat(64);
  const view = new CardsView([adaCard({ model: other, name: tiny.model }), bobCard]);
  const replicas = over(view);
  expect(replicas.choose({ model: tiny.model })).toMatchObject(bob);
  expect(replicas.choose({ model: other })).toMatchObject(ada);
  view.set([bobCard]);
  expect(replicas.choose({ model: other })).toBeUndefined();
  expect(replicas.choose({ model: tiny.model, exclude: [bob] })).toBeUndefined();
});

test('passes over leads that are not ready, and those that are no leads', () => {
  const view = new CardsView([
    adaCard({ state: 'loading' }),
    cardOf('bob', { stages: [leadOf({ stage: 1, stages: 2 })] }),
  ]);
  const replicas = over(view);
  expect(replicas.choose({})).toBeUndefined();
  view.set([adaCard({ state: 'draining' })]);
  expect(replicas.choose({})).toBeUndefined();
  view.set([adaCard()]);
  expect(replicas.choose({})).toMatchObject(ada);
});

const blockBytes = 400;
/** Digests of a prompt that tell blocks apart by their text. */
const digests = {
  blockBytes,
  of: ({ bytes }: PackedPrompt) =>
    Array.from({ length: Math.floor(bytes.byteLength / blockBytes) }, (_, nth) =>
      bytes.subarray(0, (nth + 1) * blockBytes).reduce((sum, byte) => (sum * 31 + byte) % 2_147_483_647, 7),
    ),
  ofAnswer(prompt: PackedPrompt, answer: string): readonly number[] {
    const whole = this.of({ ...prompt, bytes: Buffer.concat([prompt.bytes, Buffer.from(answer)]) });
    return whole.slice(this.of(prompt).length);
  },
};

test('follows what leads say of their caches, and predicts it until they do', () => {
  let nowMs = 0;
  const replicas = over(new CardsView([adaCard(), bobCard]), { digests, now: () => nowMs });
  const ofPrompt = digests.of(prompt);
  replicas.changePrefixes(bob, { isAnew: true, added: ofPrompt.slice(0, 5), removed: [] });
  expect(replicas.choose({ prompt })).toMatchObject({ ...bob, why: { cachedTokens: 500 } });
  replicas.changePrefixes(bob, { isAnew: false, added: [], removed: ofPrompt.slice(0, 5) });
  replicas.changePrefixes(ada, { isAnew: true, added: [], removed: [] });
  const attempt = replicas.take({ ...ada, prompt });
  attempt.observe(begin);
  attempt.observe({ type: 'text-delta' });
  attempt[Symbol.dispose]();
  expect(replicas.choose({ prompt })).toMatchObject({ ...ada, why: { cachedTokens: 1000 } });
  nowMs = 2000;
  expect(replicas.choose({ prompt })?.why.cachedTokens).toBe(0);
});

test('predicts that a replica holds the answer that it has given, for the next turn', () => {
  const replicas = over(new CardsView([adaCard(), bobCard]), { digests });
  const answer = 'because '.repeat(200);
  const attempt = replicas.take({ ...bob, prompt });
  for (const text of [answer.slice(0, 100), answer.slice(100)]) attempt.observe({ type: 'text-delta', text });
  attempt.observe({ type: 'generation-end', usage: { cachedTokens: 0 } });
  attempt[Symbol.dispose]();
  const next = packPrompt({ type: 'text', text: `${'word '.repeat(800)}${answer}and then?` });
  expect(replicas.choose({ prompt: next })).toMatchObject({ ...bob, why: { cachedTokens: 1400 } });
});

test('predicts for five minutes what a lead holds that does not tell', () => {
  let nowMs = 0;
  const replicas = over(new CardsView([adaCard(), bobCard]), { digests, now: () => nowMs });
  replicas.changePrefixes(ada, { isAnew: true, added: [], removed: [] });
  replicas.endPrefixes(ada);
  replicas.take({ ...ada, prompt })[Symbol.dispose]();
  nowMs = 299_999;
  expect(replicas.choose({ prompt })).toMatchObject({ ...ada, why: { cachedTokens: 1000 } });
  nowMs = 300_000;
  expect(replicas.choose({ prompt })?.why.cachedTokens).toBe(0);
});

test('believes a cache no longer that had less than was predicted', () => {
  const replicas = over(new CardsView([adaCard(), bobCard]), { digests });
  replicas.take({ ...bob, prompt })[Symbol.dispose]();
  const again = replicas.choose({ prompt });
  expect(again).toMatchObject({ ...bob, why: { cachedTokens: 1000 } });
  using attempt = replicas.take({ ...bob, ...again });
  attempt.observe({ type: 'generation-end', usage: { cachedTokens: 900 } });
  expect(replicas.choose({ prompt, prefer: bob })?.why.cachedTokens).toBe(1000);
  attempt.observe({ type: 'generation-end', usage: { cachedTokens: 0 } });
  expect(replicas.choose({ prompt, prefer: bob })?.why.cachedTokens).toBe(0);
});

test('a replica that is gone holds nothing when it comes back', () => {
  const view = new CardsView([adaCard(), bobCard]);
  const replicas = over(view, { digests });
  replicas.changePrefixes(bob, { isAnew: true, added: digests.of(prompt), removed: [] });
  expect(replicas.choose({ prompt })).toMatchObject(bob);
  view.set([adaCard()]);
  expect(replicas.choose({ prompt })).toMatchObject({ ...ada, why: { cachedTokens: 0 } });
  view.set([adaCard(), bobCard]);
  expect(replicas.choose({ prompt, prefer: bob })?.why.cachedTokens).toBe(0);
});

test('a session stays where it was, until waiting there costs more than reading it anew', () => {
  const view = new CardsView([adaCard(), bobCard]);
  const replicas = over(view);
  const query = { prompt, session: 'a chat' };
  replicas.take({ ...bob, ...query })[Symbol.dispose]();
  expect(replicas.choose(query)).toMatchObject(bob);
  expect(replicas.choose({ prompt, session: 'another' })).toMatchObject(ada);
  const busy = cardOf('bob', { stages: [leadOf({ deployment: bob.deployment, speed, waitingTokens: 20_000 })] });
  view.set([adaCard(), busy]);
  expect(replicas.choose(query)).toMatchObject(ada);
});
