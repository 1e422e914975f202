import { SkeinError, type Card } from '@skein/protocol';
import { expect, it } from 'vitest';

import { cardOf, manifestOf, peerIdOf } from '../testing/fixtures.ts';
import { createRouter } from './router.ts';

const [ada, bob] = [peerIdOf(1), peerIdOf(2)];
const held = manifestOf({ name: 'held' });
const served = manifestOf({ name: 'served' });
const input = { prompt: { type: 'text' as const, text: 'Once' }, sampling: sampling(), stop: [] };
const { signal } = new AbortController();

function sampling() {
  return { temperature: 0, topP: 1, topK: 0, minP: 0, seed: 1 };
}

/** A peer that holds one model and leads a deployment of another. */
function leadCard(peer: string, lead: { deployment: string; active?: number }): Card {
  const { deployment, active = 0 } = lead;
  const place = { stage: 0, stages: 1, block: { from: 0, to: 8 }, state: 'ready' as const };
  const stage = { deployment, model: served.model, name: served.name, contextTokens: 1024, sequences: 4 };
  return cardOf({ peer, holds: [held], card: { stages: [{ ...stage, ...place, active, queued: 0 }] } });
}

function routerOver(cards: readonly Card[], gone: readonly string[] = []) {
  const view = { snapshot: () => cards, onChange: () => () => undefined, watch: () => never() };
  return createRouter({
    mesh: { cards: view, open },
    deployments: {
      mayServe: (id) => !gone.includes(id),
      ensure: async (model) => ({ deployment: `new-for-${model}`, lead: ada }),
    },
  });
}

async function open(): Promise<never> {
  throw new SkeinError('peer-lost', 'nothing is opened before the events are read');
}

async function* never(): AsyncGenerator<readonly Card[]> {}

it('sends a request to the least loaded lead of its model', async () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1', active: 3 }),
    leadCard(bob, { deployment: 'deployment-2', active: 1 }),
  ]);
  expect(await router.generate('served', input, { signal })).toMatchObject({ deployment: 'deployment-2', lead: bob });
});

it('deploys a model that nobody serves', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })]);
  expect(await router.generate('held', input, { signal })).toMatchObject({ deployment: 'new-for-held', lead: ada });
});

it('does not send requests to a deployment that is gone, though its card still shows it', async () => {
  const router = routerOver([leadCard(ada, { deployment: 'deployment-1' })], ['deployment-1']);
  expect(await router.generate('served', input, { signal })).toMatchObject({ deployment: 'new-for-served' });
});

it('offers what is held and what is served, each once', () => {
  const router = routerOver([
    leadCard(ada, { deployment: 'deployment-1' }),
    leadCard(bob, { deployment: 'deployment-2' }),
  ]);
  expect(router.models()).toEqual([
    { id: 'held', sha256: held.model, bytes: held.bytes, deployed: false },
    { id: 'served', sha256: served.model, bytes: undefined, deployed: true },
  ]);
});
