import { expect, test } from 'vitest';

import type { Choice } from './generation-port.ts';
import { Receipt } from './receipt.ts';

const choice: Choice = {
  route: { deployment: 'deployment-1', lead: 'ada' },
  transcript: { continuation: undefined },
  async *[Symbol.asyncIterator]() {},
};
const machine = (peer: string) => ({ peer, name: peer, labels: { zone: 'eu' } });

test('names each machine that was asked once, over all attempts', () => {
  const receipt = new Receipt();
  const [receipted] = receipt.of([choice]);
  expect(receipted?.machines).toBeUndefined();
  expect(receipted?.route).toEqual(choice.route);
  receipt.onAsk({ deployment: 'deployment-1', peers: ['ada', 'bob'], machines: [machine('ada'), machine('bob')] });
  receipt.onAsk({ deployment: 'deployment-2', peers: ['bob', 'cyd'], machines: [machine('bob'), machine('cyd')] });
  expect(receipted?.machines?.map(({ peer }) => peer)).toEqual(['ada', 'bob', 'cyd']);
});

test('has nothing to say of requests without labels', () => {
  const receipt = new Receipt();
  receipt.onAsk({ deployment: 'deployment-1', peers: ['ada'] });
  expect(receipt.of([choice])[0]?.machines).toBeUndefined();
});
