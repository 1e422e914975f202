import { expect, it } from 'vitest';

import { maxRequestPeers, type RequestEvent } from './events.ts';
import { RequestRecord } from './requests.ts';

const origin = { id: 'chatcmpl-1', client: 'local', endpoint: '/v1/chat/completions' } as const;

function recorded(use: (record: RequestRecord) => void): Omit<RequestEvent, 'durationMs'> | undefined {
  let entry: Omit<RequestEvent, 'durationMs'> | undefined;
  const record = new RequestRecord(origin, (event) => (entry = event));
  use(record);
  record.onFailure(new Error('over'));
  return entry;
}

it('names the machines that have only read an answer along apart from those that it was sent to', () => {
  const entry = recorded((record) => {
    record.onAsk({ deployment: 'deployment-1', peers: ['ada'] });
    record.onAsk({ deployment: 'deployment-2', peers: ['bob', 'cyd'], readsAlong: true });
    record.onAsk({ deployment: 'deployment-2', peers: ['bob', 'cyd'], readsAlong: true });
  });
  expect(entry).toMatchObject({ deployment: 'deployment-1', peers: ['ada'], readAlong: ['bob', 'cyd'] });
});

it('names a machine that goes on with an answer that it has read along once', () => {
  const entry = recorded((record) => {
    record.onAsk({ deployment: 'deployment-1', peers: ['ada'] });
    record.onAsk({ deployment: 'deployment-2', peers: ['bob', 'cyd'], readsAlong: true });
    record.onAsk({ deployment: 'deployment-3', peers: ['cyd'] });
  });
  expect(entry).toMatchObject({ deployment: 'deployment-3', peers: ['ada', 'cyd'], readAlong: ['bob'] });
});

it('has no list of readers along where there were none, and a bounded one where there were many', () => {
  expect(recorded((record) => record.onAsk({ deployment: 'deployment-1', peers: ['ada'] }))).not.toHaveProperty(
    'readAlong',
  );
  const many = Array.from({ length: maxRequestPeers + 1 }, (_, nth) => `peer-${nth}`);
  const entry = recorded((record) => record.onAsk({ deployment: 'deployment-1', peers: many, readsAlong: true }));
  expect(entry?.readAlong).toHaveLength(maxRequestPeers);
});
