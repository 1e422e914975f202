import { connect } from 'node:net';
import { join } from 'node:path';
import { once } from 'node:events';

import type { Fetch } from '@skein/client';
import { z } from 'zod';

import { fetchOver } from '../../packages/cli/src/control/socket-fetch.ts';
import { createLan, type Lan } from '../lan/lan.ts';
import { startRelay, type LanRelay } from '../lan/start-relay.ts';
import { runSkein, type Machine } from '../quickstart/skein-command.ts';
import { Client } from './client.ts';
import { Daemon } from './daemon.ts';
import type { RunModel } from './models.ts';
import { processesOf } from './processes.ts';
import { SmallDisk } from './small-disk.ts';

/** A coordinator and three peers, each a daemon on a machine of its own with a small disk, and clients. */
export interface Office extends AsyncDisposable {
  readonly coordinator: Daemon;
  readonly peers: readonly Daemon[];
  /** The one among the peers that others reach through {@link relay} alone. */
  readonly remote: Daemon;
  readonly relay: LanRelay;
  /** Clients: one of the coordinator's HTTP API, and a member that asks leads itself. */
  readonly clients: readonly [http: Client, mesh: Client];
  /** A way to the coordinator's API for this process, which is on none of the machines. */
  readonly fetch: Fetch;
  readonly disk: (daemon: Daemon) => SmallDisk;
  /** Returns the process ids of the engines with their daemons, in a fixed order. */
  readonly engines: () => Promise<readonly { readonly pid: number; readonly daemon: Daemon }[]>;
  /** Stops the daemons in order. Their disks stay until the office is disposed. */
  readonly stop: () => Promise<void>;
}

const peerNames = ['attic', 'cellar', 'study'] as const;
const port = 7330;
const apiPort = 7331;

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
  const names = ['home', ...peerNames];
  const disks = new Map<string, SmallDisk>();
  for (const name of names) disks.set(name, stack.use(await SmallDisk.mount(join(directory, name))));
  const lan = stack.use(await createLan({ hosts: names.length + 2 }));
  const relay = await connectRemote(lan);
  const daemons = new AsyncDisposableStack();
  stack.defer(async () => await daemons.disposeAsync());

  const dataOf = (name: string) => join(directory, name);
  const machineOf = (name: string): Machine => ({ name, data: dataOf(name) });
  const start = async (
    name: string,
    commands: { readonly first: readonly string[]; readonly again: readonly string[] },
  ) => {
    const host = lan.host(names.indexOf(name));
    const daemon = daemons.use(new Daemon({ name, host, data: dataOf(name), run, onCrash, ...commands }));
    await daemon.start(signal);
    return daemon;
  };
  // Started again, a daemon listens where it did: others that wait for it dial it there.
  const listening = ['--no-mdns', '--listen', `/ip4/0.0.0.0/tcp/${port}`];
  const pulls = models.flatMap(({ path, holders }) =>
    holders.map(async (holder) => await runSkein(['pull', path], { machine: machineOf(holder), signal })),
  );
  const up = ['up', '--no-serve', '--port', `${apiPort}`, '--name', 'home', ...listening];
  const [coordinator] = await Promise.all([start('home', { first: up, again: up }), ...pulls]);
  const invite = async (...flags: readonly string[]) => {
    const printed = await runSkein(['invite', ...flags], { machine: machineOf('home'), signal });
    return z.object({ invite: z.string() }).parse(printed).invite;
  };
  const invitation = await invite('--uses', `${peerNames.length}`);
  const peers = await Promise.all(
    peerNames.map(async (name, index) => {
      const isRemote = index === peerNames.length - 1;
      const announce = isRemote ? ['--announce', `/ip4/${relayHost(lan).address}/tcp/${relay.port}`] : [];
      const flags = ['--name', name, '--backend', 'cpu', '--threads', '1', ...listening, ...announce];
      return await start(name, { first: ['join', invitation, ...flags], again: ['join', ...flags] });
    }),
  );
  const remote = peers.at(-1) ?? coordinator;
  const clients = await Promise.all([
    Client.start(coordinator.host, { way: 'http', urls: [`http://127.0.0.1:${apiPort}`] }, signal),
    Client.start(clientHost(lan), { way: 'mesh', invite: await invite('--role', 'client'), name: 'client' }, signal),
  ]);
  const running = stack.move();
  return {
    coordinator,
    peers,
    remote,
    relay,
    clients,
    fetch: async (url, request) => {
      const socket = connect(join(dataOf('home'), 'control.sock'));
      await once(socket, 'connect');
      return await fetchOver(socket, (cause) => new Error('the coordinator is gone', { cause }))(url, request);
    },
    disk: ({ name }) => {
      const disk = disks.get(name);
      if (disk === undefined) throw new RangeError(`${name} has no disk of its own`);
      return disk;
    },
    async engines() {
      const all = (await processesOf(run)).filter(({ isEngine }) => isEngine);
      return peers.flatMap((daemon) =>
        all.filter(({ parent }) => daemon.isRunning && parent === daemon.pid).map(({ pid }) => ({ pid, daemon })),
      );
    },
    stop: async () => await daemons.disposeAsync(),
    [Symbol.asyncDispose]: async () => await running.disposeAsync(),
  };
}

/**
 * Puts the last peer behind a relay: it announces the relay's address and reaches nobody but the coordinator, so that
 * the other peers and the member connect to it there.
 */
async function connectRemote(lan: Lan): Promise<LanRelay> {
  const [remote, relay] = [lan.host(peerNames.length), relayHost(lan)];
  const others = [...lan.hosts.slice(1, peerNames.length), clientHost(lan)];
  for (const { address } of others) await remote.loseRoute(address);
  return await startRelay(relay, { host: '0.0.0.0', port, to: { host: remote.address, port } });
}

function clientHost(lan: Lan) {
  return lan.host(peerNames.length + 1);
}

function relayHost(lan: Lan) {
  return lan.host(peerNames.length + 2);
}
