import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { readEntries } from '@skein/coordinator';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { z } from 'zod';

import { tinyModelFile } from '../../scripts/cluster/models.ts';
import { runSkein, startSkein, type Machine, type RunningSkein } from '../../scripts/quickstart/skein-command.ts';

/** The command as a person uses it: every machine a process of its own with a data directory of its own. */
const run = promisify(execFile);
const signal = AbortSignal.timeout(110_000);
let directory: string;
let model: Awaited<ReturnType<typeof tinyModelFile>>;
let first: Machine;
let second: Machine;
const daemons: RunningSkein[] = [];

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'skein-cli-'));
  model = await tinyModelFile();
  first = { name: 'first', data: join(directory, 'first machine') };
  second = { name: 'second', data: join(directory, 'second machine') };
  const quiet = ['--no-mdns', '--backend', 'cpu', '--threads', '1', '--listen', '/ip4/127.0.0.1/tcp/0'];
  daemons.push(await startSkein(['up', '--port', '0', '--name', 'first', ...quiet], { machine: first, signal }));
  const { invite } = z.object({ invite: z.string() }).parse(await runSkein(['invite'], { machine: first, signal }));
  daemons.push(await startSkein(['join', invite, '--name', 'second', ...quiet], { machine: second, signal }));
});

afterAll(async () => {
  for (const daemon of daemons.toReversed()) await daemon[Symbol.asyncDispose]();
  await model[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
});

/** The daemons and what they have started, as `pid parent` lines. */
async function processes(daemonPids: readonly number[]): Promise<string[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=']);
  const lines = stdout.split('\n').map((line) => line.trim().split(/\s+/).map(Number));
  return lines.filter((pids) => pids.some((pid) => daemonPids.includes(pid))).map((pids) => pids.join(' '));
}

function pidOf(daemon: RunningSkein): number {
  return z.looseObject({ pid: z.number() }).parse(daemon.facts).pid;
}

describe('the skein command', () => {
  it('pulls on one machine, deploys over two, and answers from either', async () => {
    await runSkein(['pull', model.path], { machine: first, signal });
    const held = z
      .object({ members: z.array(z.looseObject({ models: z.array(z.looseObject({ name: z.string() })) })) })
      .parse(await runSkein(['status'], { machine: first, signal }));
    const name = held.members.flatMap(({ models }) => models)[0]?.name ?? '';
    await runSkein(['deploy', name, '--stages', '2'], { machine: first, signal });
    const ask = ['run', 'once upon a time', '--max-tokens', '8', '--temperature', '0', '--model', name];
    const here = await runSkein(ask, { machine: first, signal });
    const there = await runSkein(ask, { machine: second, signal });
    const answer = z.looseObject({ text: z.string() });
    expect(answer.parse(there).text).toBe(answer.parse(here).text);
  }, 90_000);

  it('has recorded that, in a log that is as it was written', async () => {
    const found = await runSkein(['audit', 'verify'], { machine: first, signal });
    expect(found).toMatchObject({ ok: true, isKnownKey: true, problems: [] });
    const entries = (await Array.fromAsync(readEntries(join(first.data, 'audit')))).map(({ entry }) => entry);
    expect(entries.find((entry) => entry?.type === 'deployment')).toMatchObject({ action: 'deployed' });
    const request = entries.find((entry) => entry?.type === 'request');
    expect(request).toMatchObject({ outcome: 'answered', client: 'local', address: '127.0.0.1' });
    expect(request?.['peers']).toHaveLength(2);
  });

  it('shows no invite in the list of processes', async () => {
    const { stdout } = await run('ps', ['-eo', 'args=']);
    expect(stdout).not.toContain('skein1-');
    expect(stdout).toMatch(/^skein join$/m);
  });

  it('refuses a second daemon in one data directory and names the way out', async () => {
    await expect(startSkein(['up', '--port', '0'], { machine: first, signal })).rejects.toThrow(/skein stop/);
  });

  it('stops, and leaves no process and no socket', async () => {
    const pids = daemons.map(pidOf);
    // Both daemons and the engine of a stage each.
    expect(await processes(pids)).toHaveLength(4);
    await runSkein(['stop'], { machine: second, signal });
    await runSkein(['stop'], { machine: first, signal });
    for (const daemon of daemons) await daemon[Symbol.asyncDispose]();
    expect(await processes(pids)).toEqual([]);
    for (const { data } of [first, second]) {
      expect((await readdir(data)).filter((file) => /sock|partial|tmp/.test(file))).toEqual([]);
    }
  });
});
