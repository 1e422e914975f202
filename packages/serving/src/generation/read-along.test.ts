import type { Mesh } from '@skein/mesh';
import { Cluster } from '@skein/mesh/testing';
import { methods, packPrompt } from '@skein/protocol';
import { afterEach, beforeEach, expect, it } from 'vitest';

import { readAlong } from './read-along.ts';

let cluster: Cluster;
let member: Mesh;

beforeEach(async () => {
  cluster = new Cluster();
  member = await cluster.add();
});
afterEach(async () => await cluster[Symbol.asyncDispose]());

it('asks to hear how the reading goes, and tells of it', async () => {
  let asked: unknown;
  member.handle(methods.readAlong, async (stream) => {
    asked = (await stream.read())?.header;
    for (const type of ['progress', 'begin', 'progress', 'end']) {
      await stream.write({ type: `read-along-${type}`, cachedTokens: 7 });
    }
  });
  const told: unknown[] = [];
  const prompt = packPrompt({ type: 'text', text: 'Once' });
  const reading = { prompt, askedAt: 0, promptHash: 'a'.repeat(64), tokens: [1], moves: true };
  await readAlong(member, { deployment: 'deployment-1', lead: member.peerId }, reading, {
    id: 'request-1',
    onBegin: (cachedTokens) => told.push(cachedTokens),
    onProgress: () => told.push('on'),
  });
  expect(asked).toMatchObject({ tokens: [1], moves: true, hearsProgress: true });
  expect(told).toEqual(['on', 7, 'on']);
});
