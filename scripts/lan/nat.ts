import { execute, ip } from './execute.ts';
import { LanHost } from './host.ts';
import { missingForLan } from './missing.ts';
import { newNames, removeNamespaces } from './namespaces.ts';

const insideNetwork = '172.17.0.0/16';
const gatewayAddress = '172.17.0.1';
const insideAddress = '172.17.0.2';
const bridge = 'docker0';

let answer: Promise<string | undefined> | undefined;

/**
 * Returns the things that this machine lacks for machines behind network address translation, as a reason to skip;
 * undefined when it has them all. Looks once.
 */
export async function missingForNat(): Promise<string | undefined> {
  return await (answer ??= findMissing());
}

async function findMissing(): Promise<string | undefined> {
  const missing = await missingForLan();
  if (missing !== undefined) return missing;
  const [name = ''] = await newNames(['probe']);
  await ip([`netns add ${name}`]);
  try {
    await nft(name, rules(7330));
    return undefined;
  } catch (error) {
    const problem = error instanceof Error ? error.message : String(error);
    return `no network address translation here (package nftables, and a kernel with it): ${problem.split('\n')[0]}`;
  } finally {
    await removeNamespaces([name]);
  }
}

/**
 * Puts a machine behind a host: on a bridge of its own, from which it reaches the host's network with the host's
 * address, and on which nobody there reaches it. That is how containers, and Linux in WSL2, are connected. Each host's
 * machine has the same address.
 *
 * @param name name of the machine's network namespace, which is there
 */
export async function connectInside(host: LanHost, name: string): Promise<LanHost> {
  await ip(
    [
      `link add ${bridge} type bridge mcast_snooping 0`,
      `address add ${gatewayAddress}/16 dev ${bridge}`,
      `link set ${bridge} up`,
      `link add inside type veth peer name eth0 netns ${name}`,
      `link set inside master ${bridge}`,
      'link set inside up',
    ],
    host.name,
  );
  await ip(
    [
      'link set lo up',
      `address add ${insideAddress}/16 dev eth0`,
      'link set eth0 up',
      `route add default via ${gatewayAddress}`,
    ],
    name,
  );
  await host.output('sh', ['-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  await nft(host.name, rules());
  return new LanHost({ name, address: insideAddress, switchName: host.name, port: 'inside' });
}

/** Publishes a TCP port of the machine behind a host at the same port of the host, as `docker run -p` does. */
export async function publishPort(host: LanHost, port: number): Promise<void> {
  await nft(host.name, `flush ruleset\n${rules(port)}`);
}

function rules(published?: number): string {
  const publish =
    published === undefined ? [] : [`iifname "eth0" tcp dport ${published} dnat to ${insideAddress}:${published}`];
  return [
    'table ip nat {',
    'chain in {',
    'type nat hook prerouting priority dstnat;',
    ...publish,
    '}',
    'chain out {',
    'type nat hook postrouting priority srcnat;',
    `ip saddr ${insideNetwork} oifname "eth0" masquerade`,
    '}',
    '}',
    '',
  ].join('\n');
}

async function nft(namespace: string, ruleset: string): Promise<void> {
  await execute('ip', ['netns', 'exec', namespace, 'nft', '-f', '-'], ruleset);
}
