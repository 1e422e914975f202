import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

import { expect, test } from 'vitest';
import { z } from 'zod';

import { Daemon } from '../../scripts/faults/daemon.ts';
import { SmallDisk } from '../../scripts/faults/small-disk.ts';
import { writeTinyModel } from '../../scripts/fixtures/tiny-models.ts';
import { createLan } from '../../scripts/lan/lan.ts';
import { missingForLan } from '../../scripts/lan/missing.ts';
import { placementSeenBy, untilPlaced, type Placement } from '../support/daemon-status.ts';
import { runCommand } from '../support/run-command.ts';

const missing = await missingForLan();

/**
 * Times for which nothing must happen, in milliseconds. A successor takes over a lost holder within three seconds, and one
 * that others see, but whose card does not come by way of them, within nine.
 */
const cutMs = 9500;
const fullMs = 4000;

/** Checks again and again, for so long, that something holds. */
async function throughout(durationMs: number, check: () => Promise<void>): Promise<void> {
  for (const endMs = performance.now() + durationMs; performance.now() < endMs; await delay(100)) await check();
}

test.skipIf(missing !== undefined)(
  'coordinators that lose each other while both reach the peer have one placer, and one whose disk is full takes over once there is room',
  { timeout: 180_000 },
  async () => {
    const signal = AbortSignal.timeout(170_000);
    await using root = await mkdtempDisposable(join(tmpdir(), 'skein-lease-cut-'));
    await using disk = await SmallDisk.mount(join(root.path, 'second'));
    await using lan = await createLan({ hosts: 3 });
    await using daemons = new AsyncDisposableStack();
    const crashes: string[] = [];
    const dataOf = (name: string) => join(root.path, name);
    const machine = (name: string) => ({ name, data: dataOf(name) });
    const run = async (name: string, words: readonly string[]) =>
      await runCommand(words, { machine: machine(name), signal });
    const start = async (name: string, host: number, first: readonly string[], again = first) => {
      const plan = { name, host: lan.host(host), data: dataOf(name), run: 'lease-cut', first, again };
      const daemon = daemons.use(new Daemon({ ...plan, onCrash: (crash) => crashes.push(crash) }));
      await daemon.start(signal);
      return daemon;
    };
    const until = async (name: string, isAsWanted: (seen: Placement) => boolean): Promise<Placement> =>
      await untilPlaced(machine(name), { isAsWanted, signal });
    const listening = ['--no-mdns', '--listen', '/ip4/0.0.0.0/tcp/7330'];
    const serving = ['--backend', 'cpu', '--threads', '1'];
    const invite = async (...more: readonly string[]) =>
      z.object({ invite: z.string() }).parse(await run('first', ['invite', ...more])).invite;
    const first = await start('first', 0, ['up', '--no-serve', '--port', '7331', '--name', 'first', ...listening]);
    const model = join(root.path, 'tiny.gguf');
    await writeTinyModel('llama', model);
    await run('peer', ['pull', model]);
    const joinAs = async (name: string, role: string) => ['join', await invite('--role', role), '--name', name, ...serving, ...listening]; // prettier-ignore
    await start('peer', 1, await joinAs('peer', 'peer'));
    const up = ['up', '--no-serve', '--port', '7331'];
    const second = await start('second', 2, await joinAs('second', 'coordinator'), up);
    await second[Symbol.asyncDispose]();
    await second.start(signal);
    await run('first', ['deploy', 'tiny', '--ctx', '256']);
    const before = await until('second', ({ deployments }) => deployments[0]?.isReady === true);
    expect(before.placer?.name).toBe('first');

    // Cut off from each other alone, they hear of each other by way of the peer, and nobody takes over.
    await Promise.all([first.host.drop(second.host.address), second.host.drop(first.host.address)]);
    await throughout(cutMs, async () => {
      for (const name of ['first', 'second']) {
        // At first the lost one is not seen: its card has yet to come by way of the peer.
        const { placer = before.placer, deployments } = (await placementSeenBy(machine(name))) ?? before;
        expect(placer).toEqual(before.placer);
        expect(deployments).toMatchObject(before.deployments.map(({ id }) => ({ id, isReady: true })));
      }
    });
    await Promise.all([first.host.undrop(second.host.address), second.host.undrop(first.host.address)]);

    // With a full disk the successor can't write its epoch down, and so does not place; with room again it does.
    await disk.fill();
    await first.end('SIGKILL');
    await throughout(fullMs, async () => {
      expect((await placementSeenBy(machine('second')))?.placer?.name).not.toBe('second');
    });
    await disk.empty();
    const after = await until('second', ({ placer }) => placer?.name === 'second');
    expect(after.deployments).toMatchObject(before.deployments.map(({ id }) => ({ id, isReady: true })));
    expect(after.placer?.epoch).toBeGreaterThan(before.placer?.epoch ?? 0);
    expect(crashes).toEqual([]);
  },
);
