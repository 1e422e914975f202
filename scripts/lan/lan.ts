import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { text } from 'node:stream/consumers';
import { fileURLToPath } from 'node:url';

import { ip } from './execute.ts';
import { LanHost } from './host.ts';
import { missingForLan } from './missing.ts';
import { connectInside, missingForNat } from './nat.ts';
import { newNames, removeLeftovers } from './namespaces.ts';

const maxHosts = 250;

/** Hosts on one switch, isolated from the rest: they have no route to anywhere, nor does anyone have one to them. */
export interface Lan extends AsyncDisposable {
  readonly hosts: readonly LanHost[];
  /** Returns a host. Throws a RangeError when there is none of this index. */
  host(index: number): LanHost;
  /** Returns the machine behind a host. Throws a RangeError when there is none of this index. */
  inside(index: number): LanHost;
}

/**
 * Makes hosts, each in a network namespace of its own, on a switch that carries multicast. Several such networks may
 * exist at once, with the same addresses. Disposing removes all of it and ends the processes in it; so does the end of
 * this process, however it comes.
 *
 * @param options.insides whether each host has a machine behind it, as {@link connectInside} puts it there. Default no
 * @throws Error where this machine can't do it; see {@link missingForLan} and {@link missingForNat}
 */
export async function createLan(options: { readonly hosts: number; readonly insides?: boolean }): Promise<Lan> {
  const { hosts: count, insides: hasInsides = false } = options;
  if (!Number.isInteger(count) || count < 1 || count > maxHosts) throw new RangeError(`1 to ${maxHosts} hosts`);
  const missing = await (hasInsides ? missingForNat() : missingForLan());
  if (missing !== undefined) throw new Error(missing);
  await removeLeftovers();
  const numbers = Array.from({ length: count }, (_, index) => index);
  const insideParts = hasInsides ? numbers.map((index) => `inside${index}`) : [];
  const names = await newNames(['switch', ...numbers.map((index) => `host${index}`), ...insideParts]);
  const [switchName = '', ...machineNames] = names;
  const hostNames = machineNames.slice(0, count);
  const janitor = startJanitor(names);
  const hosts = hostNames.map(
    (name, index) => new LanHost({ name, address: `10.77.0.${index + 1}`, switchName, port: `port${index}` }),
  );
  const insides: LanHost[] = [];
  const remove = async (): Promise<void> => {
    await janitor.finish();
    await Promise.all([...hosts, ...insides].map(async (host) => await host.ended()));
  };
  try {
    await connect(switchName, hosts);
    for (const [index, name] of machineNames.slice(count).entries()) {
      await ip([`netns add ${name}`]);
      insides.push(await connectInside(at(hosts, index), name));
    }
  } catch (error) {
    await remove();
    throw error;
  }
  return {
    hosts,
    host: (index) => at(hosts, index),
    inside: (index) => at(insides, index),
    [Symbol.asyncDispose]: remove,
  };
}

function at(hosts: readonly LanHost[], index: number): LanHost {
  const host = hosts[index];
  if (host === undefined) throw new RangeError(`there is no host ${index}`);
  return host;
}

async function connect(switchName: string, hosts: readonly LanHost[]): Promise<void> {
  await ip([switchName, ...hosts.map(({ name }) => name)].map((name) => `netns add ${name}`));
  await ip(
    [
      // Without somebody who asks for memberships, snooping would soon stop multicast.
      'link add switch type bridge mcast_snooping 0',
      'link set switch up',
      ...hosts.flatMap(({ name }, index) => [
        `link add port${index} type veth peer name eth0 netns ${name}`,
        `link set port${index} master switch`,
        `link set port${index} up`,
      ]),
    ],
    switchName,
  );
  await Promise.all(
    hosts.map(
      async ({ name, address }) =>
        await ip(['link set lo up', `address add ${address}/24 dev eth0`, 'link set eth0 up'], name),
    ),
  );
}

/** Starts a process that removes namespaces when it is told to, or when this process is gone. Ctrl-C does not reach it. */
function startJanitor(names: readonly string[]): { finish(): Promise<void> } {
  const script = fileURLToPath(new URL('./janitor.ts', import.meta.url));
  const child = spawn(process.execPath, [script, ...names], { detached: true, stdio: ['pipe', 'ignore', 'pipe'] });
  const ended = Promise.all([once(child, 'close'), text(child.stderr)]);
  return {
    async finish() {
      child.stdin.end();
      const [[code], said] = await ended;
      if (code !== 0) throw new Error(`the network could not be removed: ${said}`);
    },
  };
}
