import { expect, test } from 'vitest';

import type { Choice } from './generation-port.ts';
import { skeinOf } from './openai/answer-format.ts';
import { Receipt } from './receipt.ts';

const route = { deployment: 'deployment-1', lead: 'ada' };
const choice: Choice = {
  route,
  transcript: { continuation: undefined },
  async *[Symbol.asyncIterator]() {},
};
const machine = (peer: string) => ({ peer, name: peer, labels: { zone: 'eu' } });
const asked = (deployment: string, ...peers: readonly string[]) => {
  return { deployment, peers, machines: peers.map(machine) };
};
const end = {
  type: 'finish',
  finishReason: 'stop',
  usage: { promptTokens: 1, completionTokens: 1 },
  timings: { firstTokenMs: 1, decodeMs: 1 },
} as const;

test('names each machine that was asked once, over all attempts', () => {
  const receipt = new Receipt();
  const [receipted] = receipt.of([choice]);
  expect(receipted?.receipt?.machines).toEqual([]);
  expect(receipted?.route).toEqual(choice.route);
  receipt.onAsk(asked('deployment-1', 'ada', 'bob'));
  receipt.onAsk(asked('deployment-2', 'bob', 'cyd'));
  expect(receipted?.receipt?.machines.map(({ peer }) => peer)).toEqual(['ada', 'bob', 'cyd']);
});

test('names the machines apart that have only read the answer along', () => {
  const receipt = new Receipt();
  receipt.onAsk(asked('deployment-1', 'ada'));
  expect(skeinOf({ ...route, receipt, end })).not.toHaveProperty('readAlong');
  receipt.onAsk({ ...asked('deployment-2', 'bob', 'cyd'), readsAlong: true });
  receipt.onAsk(asked('deployment-3', 'cyd'));
  expect(skeinOf({ ...route, receipt, end })).toMatchObject({
    machines: [machine('ada'), machine('cyd')],
    readAlong: [machine('bob')],
  });
});

test('has nothing to say of requests without labels', () => {
  const receipt = new Receipt();
  receipt.onAsk({ deployment: 'deployment-1', peers: ['ada'] });
  receipt.onAsk({ deployment: 'deployment-2', peers: ['bob'], readsAlong: true });
  expect(Object.keys(skeinOf({ ...route, receipt, end }))).toEqual(['deployment', 'lead', 'timings']);
});
