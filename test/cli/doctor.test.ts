import { cp, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { z } from 'zod';

import { createLan, type Lan } from '../../scripts/lan/lan.ts';
import { missingForLan } from '../../scripts/lan/missing.ts';
import { askSkein, runSkein, startSkein, type Machine } from '../../scripts/quickstart/skein-command.ts';
import { daemonStatusOf } from '../support/daemon-status.ts';

/** The verdicts of `skein doctor` on a network with real faults. */
const missing = await missingForLan();
const port = 7330;
const flags = ['--backend', 'cpu', '--threads', '1', '--listen', `/ip4/0.0.0.0/tcp/${port}`];
const patienceMs = 60_000;
const answerSchema = z.object({
  findings: z.array(z.object({ check: z.string(), level: z.string(), what: z.string(), fix: z.string().optional() })),
});

let stack: AsyncDisposableStack;
let lan: Lan;
let root: string;
let home: Machine;
let attic: Machine;
let stranger: Machine;

function machine(host: number, name: string): Machine {
  return { name, data: join(root, name), run: (...command) => lan.host(host).run(...command) };
}

async function start(line: readonly string[], on: Machine): Promise<void> {
  const signal = AbortSignal.timeout(patienceMs);
  stack.use(await startSkein([...line, '--name', on.name, ...flags], { machine: on, signal }));
}

async function doctor(on: Machine, ...line: readonly string[]) {
  const signal = AbortSignal.timeout(patienceMs);
  const { code, answer } = await askSkein(['doctor', ...line], { machine: on, signal });
  return { code, findings: answerSchema.parse(answer).findings };
}

/** Returns the verdict on one thing. */
async function verdict(on: Machine, check: string, ...line: readonly string[]) {
  return (await doctor(on, ...line)).findings.find((finding) => finding.check === check);
}

beforeAll(async () => {
  stack = new AsyncDisposableStack();
  if (missing !== undefined) return;
  lan = stack.use(await createLan({ hosts: 4 }));
  root = stack.use(await mkdtempDisposable(join(tmpdir(), 'skein-doctor-'))).path;
  [home, attic, stranger] = [machine(0, 'home'), machine(1, 'attic'), machine(2, 'stranger')];
  await Promise.all([start(['up', '--port', '0'], home), start(['up', '--port', '0'], stranger)]);
  const signal = AbortSignal.timeout(patienceMs);
  const { invite } = z.object({ invite: z.string() }).parse(await runSkein(['invite'], { machine: home, signal }));
  await start(['join', invite], attic);
  await vi.waitUntil(async () => (await daemonStatusOf(attic))?.cards.length === 2, patienceMs);
}, 2 * patienceMs);

afterAll(async () => await stack.disposeAsync());

describe('skein doctor on a network', { timeout: 2 * patienceMs }, () => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });

  test('finds nothing wrong where all is well, and ends with 0', async () => {
    const { code, findings } = await doctor(attic);
    expect(findings.filter(({ level }) => level === 'problem')).toEqual([]);
    expect(findings.find(({ check }) => check === 'mdns')?.what).toMatch(/^1 other member answers on eth0/);
    expect(code).toBe(0);
  });

  test('goes the way to a member step by step, to the end', async () => {
    // A link is measured by one member at a time, and a machine that has just joined is measured by others.
    await vi.waitFor(async () => {
      const { code, findings } = await doctor(attic, '--peer', `/ip4/${lan.host(0).address}/tcp/${port}`);
      expect(findings.map(({ check, level }) => [check, level])).toEqual(
        ['resolve', 'tcp', 'noise', 'certificate', 'protocol', 'link'].map((check) => [check, 'ok']),
      );
      expect(code).toBe(0);
    }, patienceMs);
  });

  test('says that a port is closed, and that a machine is of another mesh', async () => {
    const [closed, other] = await Promise.all([
      doctor(attic, '--peer', `/ip4/${lan.host(0).address}/tcp/7999`),
      doctor(attic, '--peer', `/ip4/${lan.host(2).address}/tcp/${port}`),
    ]);
    expect(closed.findings.at(-1)).toMatchObject({ check: 'tcp', level: 'problem' });
    expect(closed.findings.at(-1)?.fix).toMatch(/--listen/);
    expect(closed.code).toBe(1);
    expect(other.findings.at(-1)).toMatchObject({ check: 'certificate', level: 'problem' });
    expect(other.findings.at(-1)?.what).toMatch(/another mesh/);
  });

  test('tells multicast that is filtered', async () => {
    await lan.host(1).filterMulticast();
    const found = await verdict(attic, 'mdns');
    expect(found).toMatchObject({ level: 'note' });
    expect(found?.what).toMatch(/^nobody else answers on eth0/);
    expect(found?.fix).toMatch(/IGMP snooping.*--peer/);
  });

  test('tells a copied identity, on both machines', async () => {
    const copy = machine(3, 'copy');
    await cp(attic.data, copy.data, { recursive: true, filter: (path) => !path.endsWith('.sock') });
    await start(['join'], copy);
    const isTold = async (on: Machine) =>
      await vi.waitFor(async () => expect((await verdict(on, 'identity'))?.fix).toMatch(/copied/), patienceMs);
    await Promise.all([isTold(attic), isTold(copy)]);
    expect(await verdict(home, 'identity')).toBeUndefined();
  });

  test('says that a machine does not answer', async () => {
    await lan.host(0).unplug();
    const [{ findings }, ofStranger] = await Promise.all([
      doctor(attic, '--peer', `/ip4/${lan.host(0).address}/tcp/${port}`),
      verdict(stranger, 'members'),
    ]);
    expect(findings.at(-1)).toMatchObject({ check: 'tcp', level: 'problem' });
    expect(ofStranger).toBeUndefined();
    const way = await vi.waitFor(async () => {
      const found = (await doctor(attic)).findings;
      expect(found.find(({ check }) => check === 'members')?.what).toMatch(/^none of 1/);
      return found.find(({ check }) => check === 'missing');
    }, patienceMs);
    expect(way).toMatchObject({ level: 'note' });
    expect(way?.what).toContain(`at /ip4/${lan.host(0).address}/tcp/${port} is not in the mesh: `);
    expect(way?.fix).toBeDefined();
  });
});
