import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { z } from 'zod';

import { freePort } from '../bench/processes/free-port.ts';
import { runSkein } from '../quickstart/skein-command.ts';
import { Daemon } from './daemon.ts';
import type { RunModel } from './models.ts';
import { processesOf } from './processes.ts';

/** A coordinator and three peers, each a daemon of its own on this machine. */
export interface Office extends AsyncDisposable {
  readonly coordinator: Daemon;
  readonly peers: readonly Daemon[];
  /** URL of the HTTP API, also after the coordinator was started again. */
  readonly url: string;
  /** Returns the process ids of the engines with their daemons, in a fixed order. */
  readonly engines: () => Promise<readonly { readonly pid: number; readonly daemon: Daemon }[]>;
}

const peerNames = ['attic', 'cellar', 'study'] as const;

/** Starts an office whose peers hold the models as planned. */
export async function startOffice(options: {
  /** Empty; data directories go there. */
  readonly directory: string;
  readonly run: string;
  readonly models: readonly RunModel[];
  readonly signal: AbortSignal;
  readonly onCrash: (crash: string) => void;
}): Promise<Office> {
  const { directory, run, models, signal, onCrash } = options;
  await using stack = new AsyncDisposableStack();
  const dataOf = (name: string) => join(directory, name);
  // Started again, a daemon listens where it did: others that wait for it dial it there.
  const quiet = async () => ['--no-mdns', '--listen', `/ip4/127.0.0.1/tcp/${await freePort()}`];
  const start = async (
    name: string,
    commands: { readonly first: readonly string[]; readonly again: readonly string[] },
  ) => {
    const daemon = stack.use(new Daemon({ name, data: dataOf(name), run, onCrash, ...commands }));
    await daemon.start(signal);
    return daemon;
  };
  await mkdir(directory, { recursive: true });
  const pulls = models.map(
    async ({ path, holder }) =>
      await runSkein(['pull', path], { machine: { name: holder, data: dataOf(holder) }, signal }),
  );
  const port = await freePort();
  const up = ['up', '--no-serve', '--port', `${port}`, '--name', 'home', ...(await quiet())];
  const [coordinator] = await Promise.all([start('home', { first: up, again: up }), ...pulls]);
  const home = { machine: { name: 'home', data: dataOf('home') }, signal };
  const printed = await runSkein(['invite', '--uses', `${peerNames.length}`], home);
  const { invite } = z.object({ invite: z.string() }).parse(printed);
  const peers = await Promise.all(
    peerNames.map(async (name) => {
      const flags = ['--name', name, '--backend', 'cpu', '--threads', '1', ...(await quiet())];
      return await start(name, { first: ['join', invite, ...flags], again: ['join', ...flags] });
    }),
  );
  const running = stack.move();
  return {
    coordinator,
    peers,
    url: `http://127.0.0.1:${port}`,
    async engines() {
      const all = (await processesOf(run)).filter(({ isEngine }) => isEngine);
      return peers.flatMap((daemon) =>
        all.filter(({ parent }) => daemon.isRunning && parent === daemon.pid).map(({ pid }) => ({ pid, daemon })),
      );
    },
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}
