import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { beforeEach, describe, expect, test } from 'vitest';

import { execute } from './execute.ts';
import { JsonLines } from './json-lines.ts';
import { createLan, type Lan } from './lan.ts';
import type { LanHost } from './host.ts';
import { missingForLan } from './missing.ts';
import { missingForNat, publishPort } from './nat.ts';
import { listNamespaces, pathOf, processesIn, removeLeftovers } from './namespaces.ts';
import { startRelay } from './start-relay.ts';

const missing = await missingForLan();
const patience = { timeout: 10_000 };

/** A server in a host that answers what it is told, to whoever connects at port 7000. */
async function startEcho(host: LanHost): Promise<void> {
  const script =
    "require('net').createServer((s) => s.on('error', () => {}).pipe(s)).listen(7000, () => console.log(1))";
  const lines = new JsonLines(host.run(process.execPath, ['-e', script]));
  await lines.until(() => true, { signal: AbortSignal.timeout(patience.timeout) });
}

/** Returns the echo that a host hears within half a second; nothing without an answer. */
async function ask(host: LanHost, { address, port }: { address: string; port: number }): Promise<string> {
  const script = `
    const socket = require('net').connect(${port}, '${address}', () => socket.end('hello'));
    socket.on('error', () => process.exit()).pipe(process.stdout);
    setTimeout(() => process.exit(), 500);`;
  return await host.output(process.execPath, ['-e', script]);
}

/** One that has ended may still wait for its parent to hear of it. */
async function isRunning(pid: string): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat !== '' && !/\) Z /.test(stat);
}

async function namesOf(lan: Lan): Promise<string[]> {
  const names = lan.hosts.map(({ name }) => name);
  return (await listNamespaces()).filter((name) => names.includes(name));
}

describe('hosts on a network', () => {
  beforeEach(({ skip }) => {
    if (missing !== undefined) skip(missing);
  });

  test('reach each other and nobody else, not while a cable is pulled, and again after that', async () => {
    await using lan = await createLan({ hosts: 2 });
    const [near, far] = [lan.host(0), lan.host(1)];
    await startEcho(far);
    const echo = { address: far.address, port: 7000 };
    await expect.poll(async () => await ask(near, echo), patience).toBe('hello');
    await far.unplug();
    expect(await far.output('ip', ['-brief', 'link', 'show', 'eth0'])).toContain('NO-CARRIER');
    expect(await ask(near, echo)).toBe('');
    await far.plug();
    await expect.poll(async () => await ask(near, echo), patience).toBe('hello');

    expect(await near.output('ip', ['route'])).not.toContain('default');
    await using other = await createLan({ hosts: 2 });
    expect(await ask(other.host(0), echo)).toBe('');
  });

  test('hear multicast', async () => {
    await using lan = await createLan({ hosts: 2 });
    const bound = `const socket = require('dgram').createSocket({ type: 'udp4', reuseAddr: true });
      socket.bind(5353, () => { socket.addMembership('224.0.0.251', address); socket.setMulticastInterface(address); `;
    const on = ({ address }: LanHost, script: string) => [`-e`, `const address = '${address}'; ${bound}${script}`];
    const listener = new JsonLines(
      lan
        .host(0)
        .run(
          process.execPath,
          on(
            lan.host(0),
            "console.log(1); socket.on('message', (text) => console.log(JSON.stringify(String(text)))); });",
          ),
        ),
    );
    const signal = AbortSignal.timeout(patience.timeout);
    await listener.until(() => true, { signal });
    lan
      .host(1)
      .run(process.execPath, on(lan.host(1), "setInterval(() => socket.send('here', 5353, '224.0.0.251'), 100); });"));
    expect(await listener.until((message) => message === 'here', { signal })).toBe('here');
  });

  test('have cables as narrow as they are told, in both directions', async () => {
    await using lan = await createLan({ hosts: 2 });
    await lan.host(0).setBandwidth(1000);
    await lan.host(0).setBandwidth(20);
    expect(await lan.host(0).output('tc', ['qdisc', 'show', 'dev', 'eth0'])).toMatch(/^qdisc tbf .* rate 20Mbit /);
    const ofSwitch = lan.host(0).name.replace('host0', 'switch');
    const atSwitch = await lan.host(0).output('tc', ['-netns', ofSwitch, 'qdisc', 'show']);
    expect(atSwitch.match(/qdisc tbf .* dev port0 .* rate 20Mbit /g)).toHaveLength(1);
    expect(atSwitch).not.toContain('dev port1 root tbf');
  });

  test('that are isolated talk by way of a relay in another host, until it is cut', async () => {
    await using lan = await createLan({ hosts: 3 });
    const [near, far, between] = [lan.host(0), lan.host(1), lan.host(2)];
    await startEcho(far);
    await Promise.all([near.isolate(), far.isolate()]);
    const relay = await startRelay(between, { to: { host: far.address, port: 7000 }, delayMs: 5, jitterMs: 2 });
    const way = { address: between.address, port: relay.port };
    await expect.poll(async () => await ask(near, way), patience).toBe('hello');
    expect(await ask(near, { address: far.address, port: 7000 })).toBe('');
    await relay.cut();
    expect(await ask(near, way)).toBe('');
    await relay.restore();
    await expect.poll(async () => await ask(near, way), patience).toBe('hello');
  });

  test('have machines behind them that reach out and are reached at published ports only', async ({ skip }) => {
    const noNat = await missingForNat();
    if (noNat !== undefined) skip(noNat);
    await using lan = await createLan({ hosts: 2, insides: true });
    const [near, far] = [lan.inside(0), lan.inside(1)];
    expect([near.address, far.address]).toEqual(['172.17.0.2', '172.17.0.2']);
    await startEcho(lan.host(1));
    await expect
      .poll(async () => await ask(near, { address: lan.host(1).address, port: 7000 }), patience)
      .toBe('hello');
    await startEcho(lan.inside(0));
    const published = { address: lan.host(0).address, port: 7000 };
    expect(await ask(far, published)).toBe('');
    await publishPort(lan.host(0), 7000);
    await expect.poll(async () => await ask(far, published), patience).toBe('hello');
  });

  test('are gone at the end with all that runs in them, also what is stopped or was started by others', async () => {
    const lan = await createLan({ hosts: 2 });
    const child = lan.host(0).run('sh', ['-c', 'sleep 1000 & echo $!; wait']);
    const [grandchild] = (await once(child.stdout, 'data')) as [Buffer];
    child.kill('SIGSTOP');
    expect(await namesOf(lan)).toHaveLength(2);
    await lan[Symbol.asyncDispose]();
    expect(child.signalCode).toBe('SIGKILL');
    expect(await isRunning(String(grandchild).trim())).toBe(false);
    expect(await namesOf(lan)).toEqual([]);
  });

  test('are gone when the process that made them is killed', async () => {
    const main = fileURLToPath(new URL('./main.ts', import.meta.url));
    const command = ['--hosts', '2', '--', 'sh', '-c', 'ip netns identify; exec sleep 1000'];
    const child = spawn(process.execPath, [main, ...command]);
    const [printed] = (await once(child.stdout, 'data')) as [Buffer];
    const name = String(printed).trim();
    expect(await listNamespaces()).toContain(name);
    child.kill('SIGKILL');
    await expect.poll(async () => await listNamespaces(), patience).not.toContain(name);
    expect(await processesIn(name)).toEqual([]);
  });

  test('are found by the next one when nothing else removed them', async () => {
    // As a process with our id that was started at another time would have named it.
    const leftover = `skein-lan-${process.pid}-1-0-host0`;
    await execute('ip', ['netns', 'add', leftover]);
    const sleeper = spawn('nsenter', [`--net=${pathOf(leftover)}`, '--', 'sh', '-c', 'echo in; exec sleep 1000']);
    const ended = once(sleeper, 'close');
    // A test beside this one may be quicker than we are and clean up.
    await Promise.race([once(sleeper.stdout, 'data'), ended]);
    await using lan = await createLan({ hosts: 1 });
    expect(await listNamespaces()).not.toContain(leftover);
    await ended;
    // Those of processes that are there stay.
    await removeLeftovers();
    expect(await namesOf(lan)).toHaveLength(1);
  });

  test('say what a program said that failed in them', async () => {
    await using lan = await createLan({ hosts: 1 });
    await expect(lan.host(0).output('ip', ['link', 'show', 'eth7'])).rejects.toThrow(/eth7.*does not exist/);
    const child = lan.host(0).run('sh', ['-c', 'echo heard']);
    expect(await text(child.stdout)).toBe('heard\n');
    expect(() => lan.host(1)).toThrow(RangeError);
  });
});
