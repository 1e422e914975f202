import { mkdtempDisposable, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { expect, it, onTestFinished } from 'vitest';
import { z } from 'zod';

import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { runSkein, startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';

const upSchema = z.looseObject({ url: z.string(), addresses: z.array(z.string()) });
const joinSchema = z.looseObject({ addresses: z.array(z.string()) });
const members = z.looseObject({
  members: z.array(z.looseObject({ models: z.array(z.looseObject({ name: z.string() })) })),
});

/** Makes all processes that are started from now on record their peers. */
function traceInto(file: string): void {
  const before = process.env['NODE_OPTIONS'];
  const trace = new URL('../support/trace-sockets.js', import.meta.url).href;
  process.env['NODE_OPTIONS'] = `${before ?? ''} --import=${trace}`;
  process.env['SKEIN_TRACE'] = file;
  onTestFinished(() => {
    delete process.env['SKEIN_TRACE'];
    if (before === undefined) delete process.env['NODE_OPTIONS'];
    else process.env['NODE_OPTIONS'] = before;
  });
}

it('dials nobody but members: from the first start to an answer over two stages', async () => {
  const signal = AbortSignal.timeout(100_000);
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-dials-'));
  await using model = await tinyModelFile();
  const machine = (name: string): Machine => ({ name, data: join(root.path, name) });
  const [home, attic] = [machine('home'), machine('attic')] as const;
  const file = join(root.path, 'trace.txt');
  traceInto(file);
  // mDNS as well, on the loopback interface.
  const local = ['--listen', '/ip4/127.0.0.1/tcp/0', '--backend', 'cpu', '--threads', '1'];
  await using first = await startSkein(['up', '--port', '0', ...local], { machine: home, signal });
  const { invite } = z.object({ invite: z.string() }).parse(await runSkein(['invite'], { machine: home, signal }));
  await using second = await startSkein(['join', invite, ...local], { machine: attic, signal });
  await runSkein(['pull', model.path], { machine: home, signal });
  const seen = members.parse(await runSkein(['status'], { machine: home, signal }));
  const name = seen.members.flatMap(({ models }) => models)[0]?.name ?? '';
  await runSkein(['deploy', name, '--stages', '2'], { machine: home, signal });
  const ask = ['run', 'once upon a time', '--max-tokens', '4', '--model', name];
  for (const from of [home, attic]) await runSkein(ask, { machine: from, signal });

  const [up, joined] = [upSchema.parse(first.facts), joinSchema.parse(second.facts)];
  const ports = [...up.addresses, ...joined.addresses].map((address) => /\/tcp\/(\d+)/.exec(address)?.[1]);
  const allowed = [...ports, new URL(up.url).port].map((port) => `tcp 127.0.0.1 ${port}`);
  const lines = new Set((await readFile(file, 'utf8')).trimEnd().split('\n'));
  const tcp = [...lines].filter((line) => line.startsWith('tcp'));
  // It does trace: the second has dialled the first, and commands have asked the API.
  expect(tcp.length).toBeGreaterThanOrEqual(2);
  expect([...lines].filter((line) => line.startsWith('udp'))).toEqual(['udp 224.0.0.251 5353']);
  expect([...lines].filter((line) => !line.startsWith('udp') && !allowed.includes(line))).toEqual([]);
}, 110_000);
