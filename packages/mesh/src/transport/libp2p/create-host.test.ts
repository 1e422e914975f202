import { expect, test } from 'vitest';

import { generatePrivateKey } from '../keys.ts';
import { createHost } from './create-host.ts';

function timers(): number {
  return process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
}

test('a host that has stopped leaves no timer that would keep its process running', async () => {
  const before = timers();
  const host = await createHost({ privateKey: await generatePrivateKey(), listen: ['/ip4/127.0.0.1/tcp/0'] });
  await host.start();
  await host.stop();
  expect(timers()).toBe(before);
});
