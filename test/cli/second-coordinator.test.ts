import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, test, vi } from 'vitest';
import { z } from 'zod';

import { startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';
import { daemonStatusOf } from '../support/daemon-status.ts';
import { runCommand } from '../support/run-command.ts';

const statusSchema = z.object({ members: z.array(z.looseObject({ name: z.string(), roles: z.array(z.string()) })) });
const factsSchema = z.looseObject({ url: z.string(), addresses: z.array(z.string()) });

/** Members that a machine sees, once it sees so many, as `name: roles`. */
async function untilSees(machine: Machine, count: number, signal: AbortSignal): Promise<string[]> {
  await vi.waitUntil(async () => (await daemonStatusOf(machine))?.cards.length === count);
  const { members } = statusSchema.parse(await runCommand(['status'], { machine, signal }));
  return members.map(({ name, roles }) => `${name}: ${roles.join()}`).toSorted();
}

test('a machine that joined coordinates after a stop and an `up`, in the same mesh and as it was told once', async () => {
  const signal = AbortSignal.timeout(80_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-second-'));
  const first = { name: 'first', data: join(root.path, 'first') };
  const second = { name: 'second', data: join(root.path, 'second') };
  const quiet = ['--no-mdns', '--backend', 'cpu', '--threads', '1', '--listen', '/ip4/127.0.0.1/tcp/0'];
  const start = async (words: readonly string[], machine: Machine) => await startSkein(words, { machine, signal });
  await using _first = await start(['up', '--port', '0', '--name', 'one', ...quiet], first);
  const invite = ['invite', '--role', 'coordinator'];
  const { invite: text } = z.object({ invite: z.string() }).parse(await runCommand(invite, { machine: first, signal }));
  await (await start(['join', text, '--name', 'two', ...quiet], second))[Symbol.asyncDispose]();

  await using again = await start(['up', '--port', '0'], second);
  const { addresses } = factsSchema.parse(again.facts);
  expect(addresses).toEqual([expect.stringMatching(/^\/ip4\/127\.0\.0\.1\/tcp\//)]);
  const both = ['one: coordinator,peer', 'two: coordinator,peer'];
  expect(await untilSees(second, 2, signal)).toEqual(both);
  expect(await untilSees(first, 2, signal)).toEqual(both);
}, 90_000);
