import { PromptDigests, type Mesh, type StreamHandler } from '@skein/mesh';
import { Cluster, untilCards } from '@skein/mesh/testing';
import { methods, packDigests, packPrompt, parseHeader, prefixesAskSchema, prefixLimits } from '@skein/protocol';
import { afterEach, beforeEach, expect, test } from 'vitest';

import { leadOf } from '../testing/cards.ts';
import { PrefixFollower } from './prefix-follower.ts';
import { Replicas } from './replicas.ts';

const prompt = packPrompt({ type: 'text', text: 'Once upon a time. '.repeat(200) });
const key = new Uint8Array(prefixLimits.keyBytes).fill(7);
const held = new PromptDigests(key).of(prompt);

let cluster: Cluster;
let router: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  router = await cluster.add();
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

/** Adds a member that leads a replica and answers routers in this way. */
async function addLead(deployment: string, handler: StreamHandler): Promise<string> {
  const lead = await cluster.add([router]);
  lead.handle(methods.prefixes, handler);
  lead.updateCard({ stages: [leadOf({ deployment })] });
  await untilCards(router, (cards) => cards.some(({ peer, stages }) => peer === lead.peerId && stages.length > 0));
  return lead.peerId;
}

/** Tells of digests, and then of nothing more. */
function telling(added: readonly number[], ownKey = key): StreamHandler {
  return async (stream, { signal }) => {
    await stream.read();
    await stream.write({ type: 'prefixes-begin', key: ownKey });
    const change = { added, removed: [] };
    await stream.write({ type: 'prefixes-change', added: added.length, removed: 0 }, packDigests(change));
    const { promise, resolve } = Promise.withResolvers<void>();
    signal.addEventListener('abort', () => resolve());
    await promise;
  };
}

/** Follows all leads. Tells when the replicas have taken a change, or have been told that a lead tells no more. */
function follow() {
  const digests = new PromptDigests();
  const replicas = new Replicas({ cards: router.cards, digests });
  const events: string[] = [];
  let waiting: { readonly event: string; readonly resolve: () => void } | undefined;
  const note = (event: string): void => {
    events.push(event);
    if (waiting?.event === event) waiting.resolve();
  };
  const follower = new PrefixFollower({
    mesh: router,
    digests,
    offersKey: true,
    retryMs: { least: 600_000, most: 600_000 },
    replicas: {
      useDigests: (next) => replicas.useDigests(next),
      changePrefixes(route, change) {
        replicas.changePrefixes(route, change);
        if (change.added.length > 0) note(`${route.deployment} tells`);
      },
      endPrefixes(route) {
        replicas.endPrefixes(route);
        note(`${route.deployment} ends`);
      },
    },
  });
  return {
    replicas,
    [Symbol.dispose]: () => follower[Symbol.dispose](),
    async until(event: string): Promise<void> {
      if (events.includes(event)) return;
      const { promise, resolve } = Promise.withResolvers<void>();
      waiting = { event, resolve };
      await promise;
    },
  };
}

test("sends prompts where leads say that they are cached, by the leads' own key", async () => {
  await addLead('deployment-without', telling([held[0] ?? 0]));
  const lead = await addLead('deployment-with', telling(held));
  using followed = follow();
  await followed.until('deployment-with tells');
  await followed.until('deployment-without tells');
  const chosen = followed.replicas.choose({ prompt });
  expect(chosen).toMatchObject({ lead, deployment: 'deployment-with' });
  expect(chosen?.why.cachedTokens).toBeGreaterThan(800);
});

test('offers a key, and forgets what a lead has told when its stream ends', async () => {
  let offered: Uint8Array | undefined;
  await addLead('deployment-1', async (stream) => {
    offered = parseHeader(prefixesAskSchema, (await stream.read())?.header).key;
    if (offered === undefined) return;
    await stream.write({ type: 'prefixes-begin', key: offered });
    const added = new PromptDigests(offered).of(prompt);
    await stream.write(
      { type: 'prefixes-change', added: added.length, removed: 0 },
      packDigests({ added, removed: [] }),
    );
  });
  using followed = follow();
  await followed.until('deployment-1 ends');
  expect(offered).toHaveLength(prefixLimits.keyBytes);
  expect(followed.replicas.choose({ prompt })?.why.cachedTokens).toBe(0);
});

test.each<[string, StreamHandler]>([
  [
    'more digests than it may hold',
    async (stream) => {
      await stream.read();
      await stream.write({ type: 'prefixes-begin', key });
      for (let nth = 0; nth < 17; nth += 1) {
        const added = Array.from(
          { length: prefixLimits.maxChange },
          (_, index) => nth * prefixLimits.maxChange + index,
        );
        const change = { type: 'prefixes-change', added: added.length, removed: 0 };
        await stream.write(change, packDigests({ added, removed: [] }));
      }
      await stream.read();
    },
  ],
  [
    'fewer digests than it says',
    async (stream) => {
      await stream.read();
      await stream.write({ type: 'prefixes-begin', key });
      await stream.write({ type: 'prefixes-change', added: 9, removed: 9 }, new Uint8Array(6));
      await stream.read();
    },
  ],
  [
    'no key',
    async (stream) => {
      await stream.read();
      await stream.write({ type: 'prefixes-change', added: 0, removed: 0 });
      await stream.read();
    },
  ],
])('counts on nothing of a lead that tells of %s', async (_, handler) => {
  await addLead('deployment-1', handler);
  using followed = follow();
  await followed.until('deployment-1 ends');
  expect(followed.replicas.choose({ prompt })?.why.cachedTokens).toBe(0);
});

test('a lead with a key of its own changes nothing for the others', async () => {
  await addLead('deployment-1', telling(held));
  await addLead('deployment-2', telling(held));
  const other = new Uint8Array(prefixLimits.keyBytes).fill(9);
  await addLead('deployment-x', telling(new PromptDigests(other).of(prompt), other));
  using followed = follow();
  await followed.until('deployment-1 tells');
  await followed.until('deployment-2 tells');
  await followed.until('deployment-x ends');
  expect(followed.replicas.choose({ prompt })?.deployment).toMatch(/^deployment-[12]$/);
});
