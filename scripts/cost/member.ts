import { createInterface } from 'node:readline';

import { createMesh } from '@skein/mesh';

import { enroll } from '../detection/membership.ts';

/** A member that answers each line on standard input with the bytes sent and received and the time computed so far. */
const mesh = await createMesh({ ...(await enroll(process.argv[2] ?? '')), roles: ['peer'], mdns: false });
await mesh.start();
const say = (): void => {
  const { user, system } = process.cpuUsage();
  const facts = { addresses: mesh.addresses(), cards: mesh.cards.snapshot().length, cpuMs: (user + system) / 1000 };
  process.stdout.write(`${JSON.stringify({ ...facts, traffic: mesh.traffic().total })}\n`);
};
say();
for await (const _ of createInterface({ input: process.stdin })) say();
await mesh.stop();
