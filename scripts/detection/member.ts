import { createInterface } from 'node:readline';
import { setTimeout as delay, setImmediate as nextTurn } from 'node:timers/promises';

import { createMesh } from '@skein/mesh';
import { methods, silentLogger, type Logger } from '@skein/protocol';

import { enroll } from './membership.ts';
import { sharedClockMs, type Bulk, type MemberCommand, type MemberMessage, type MemberSettings } from './messages.ts';

type Said = MemberMessage extends infer Message ? (Message extends unknown ? Omit<Message, 'atMs'> : never) : never;

const chunk = new Uint8Array(256 * 1024);
const settings = JSON.parse(process.argv[2] ?? '') as MemberSettings;

function say(message: Said): void {
  process.stdout.write(`${JSON.stringify({ ...message, atMs: sharedClockMs() })}\n`);
}

const logger: Logger = {
  ...silentLogger,
  warn: (fields, message) => {
    const { peer } = fields as { readonly peer?: string };
    if (message.includes('dead') && peer !== undefined) say({ type: 'declared-dead', peer });
  },
};

const { meshKey, holdsAuthority, ...options } = settings;
const { authority, ...membership } = await enroll(meshKey);
const mesh = await createMesh({
  ...options,
  ...membership,
  authority: holdsAuthority ? authority : undefined,
  roles: ['peer'],
  logger,
});

let present = new Set<string>();
const addressesOf = new Map<string, string>();
mesh.cards.onChange(() => {
  const others = mesh.cards.snapshot().map(({ peer }) => peer);
  const now = new Set(others.filter((peer) => peer !== mesh.peerId));
  for (const peer of now.difference(present)) say({ type: 'came', peer });
  for (const peer of present.difference(now)) say({ type: 'gone', peer });
  for (const { peer, addresses } of mesh.cards.snapshot()) {
    if (peer === mesh.peerId || addressesOf.get(peer) === addresses.join()) continue;
    addressesOf.set(peer, addresses.join());
    say({ type: 'addresses', peer, addresses });
  }
  present = now;
});

for (const method of [methods.bytes, methods.ring]) {
  mesh.handle(method, async (stream) => {
    for await (const _ of stream);
  });
}

async function send({ peer, bytes, method }: Bulk): Promise<void> {
  const stream = await mesh.open(peer, methods[method]);
  // The first frame is due soon, and the link may be slow.
  await stream.write({ type: 'bulk' });
  for (let sent = 0; sent < bytes; sent += chunk.byteLength) await stream.write({ type: 'bulk' }, chunk);
  await stream.end();
  // Its end is the answer: it has read everything.
  await stream.read();
  say({ type: 'sent', peer, method });
}

/** Revokes a member. Each process has admitted itself, so this one's authority has to hear of the member first. */
async function revoke(peer: string): Promise<void> {
  await authority.admit(peer, { roles: ['peer'] });
  await authority.revoke(peer);
}

async function block(milliseconds: number, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    for (const endMs = performance.now() + milliseconds; performance.now() < endMs;);
    // A whole turn of the loop, timers included: its clock stood still meanwhile, and goes on with the next turn.
    await nextTurn();
    await delay(1);
  }
  say({ type: 'blocked' });
}

async function obey(command: MemberCommand): Promise<void> {
  switch (command.do) {
    case 'start':
      await mesh.start();
      return say({ type: 'started', addresses: mesh.addresses() });
    case 'revoke':
      return await revoke(command.peer);
    case 'block':
      return await block(command.milliseconds, command.times);
    case 'send':
      return await send(command);
  }
}

say({ type: 'ready', peer: mesh.peerId });
for await (const line of createInterface(process.stdin)) {
  obey(JSON.parse(line) as MemberCommand).catch((error: unknown) => say({ type: 'failed', reason: String(error) }));
}
// The process that started this is gone, or done with it.
process.exit();
