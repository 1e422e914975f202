import { expect, it } from 'vitest';

import { RequestLanes } from './request-lanes.ts';

it('takes a prompt on a connection that was used before, though many questions and new connections came earlier', async () => {
  const lanes = new RequestLanes();
  const known = {};
  await lanes.next('POST', known);
  const taken: string[] = [];
  const take = async (name: string, method: string, connection: object): Promise<void> => {
    await lanes.next(method, connection);
    taken.push(name);
  };
  const flood = Array.from({ length: 50 }, (_, index) => index).flatMap((index) => [
    take(`question ${index}`, 'GET', known),
    take(`new ${index}`, 'POST', {}),
  ]);
  await Promise.all([...flood, take('known', 'POST', known)]);
  expect(taken.indexOf('known')).toBeLessThan(3);
  expect(taken).toHaveLength(101);
});
