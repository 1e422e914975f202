import { defaultMeshPort, everywhere } from '../daemon/default-listen.ts';
import type { Finding } from './finding.ts';
import { firewallFix } from './firewall.ts';
import type { Surroundings } from './surroundings.ts';

/** Facts about the ways in which others reach this machine. */
export interface Reach {
  readonly platform: NodeJS.Platform;
  readonly surroundings: Surroundings | undefined;
  /** Multiaddrs on its card; undefined where no daemon runs. */
  readonly addresses: readonly string[] | undefined;
  /** IP addresses of this machine, on all its interfaces. */
  readonly ownHosts: readonly string[];
  /** Interfaces on which members are not looked for. */
  readonly passedOver: readonly string[];
}

/** Networks that Docker and Podman make where nobody says otherwise: nothing off their machine leads there. */
const defaultBridge = /^\/ip4\/(172\.17|10\.88)\./;
/** Networks that Docker makes for compositions of containers. Elsewhere they may be ordinary ones. */
const furtherBridge = /^\/ip4\/172\.(1[89]|2\d|3[01])\./;

/** Identifier that Windows gives to virtual machines of WSL. */
const wslCreator = '{40E0AC32-46A5-438A-A0B2-2B479E8F2E90}';

/** Judges whether others can reach this machine. */
export function* reachability(reach: Reach): Generator<Finding> {
  const { addresses = [], ownHosts, passedOver, surroundings } = reach;
  const outward = addresses.filter((address) => !/^\/(ip4\/127\.|ip6\/::1\/)/.test(address));
  const hosts = outward.map(hostOf).filter((host) => host !== undefined);
  const isAnnounced = hosts.some((host) => !ownHosts.includes(host));
  if (surroundings === 'wsl-nat' && !isAnnounced) yield behindWindows(outward[0], hosts[0]);
  else if (surroundings === 'container' && !isAnnounced && outward.length > 0 && outward.every(isInside)) {
    yield inContainer(outward);
  } else if (reach.addresses !== undefined) yield address(outward, reach);
  if (surroundings === 'wsl-mirrored') yield windowsFirewall(portOf(outward[0]));
  if (passedOver.length > 0) {
    const what = `not used: ${passedOver.join(', ')} (containers, tunnels, link-local)`;
    const fix = '--interface with such a name uses it nevertheless, and so does --listen with an address of it';
    yield { check: 'interfaces', level: 'note', what, fix };
  }
}

/** Tells whether a multiaddr is of a network that containers have inside their machine. */
export function isOfBridge(address: string): boolean {
  return defaultBridge.test(address);
}

/** Returns the fix for a container whose port nobody reaches. */
export function publishFix(port: number): string {
  return `publish its port (docker run -p ${port}:${port} …) and start Skein with --announce /ip4/<address of the machine>/tcp/${port}; or give it the machine's own network (--network host)`;
}

/** Returns the TCP port of a multiaddr. */
export function portOf(address: string | undefined): number {
  return Number(/\/tcp\/(\d+)/.exec(address ?? '')?.[1] ?? defaultMeshPort);
}

function address(outward: readonly string[], { platform }: Reach): Finding {
  const check = 'address';
  if (outward.length > 0) {
    const what = `can be dialled at ${outward.join(', ')}`;
    return { check, level: 'ok', what, fix: `where others can't: ${firewallFix(platform, portOf(outward[0]))}` };
  }
  const fix = `to let other machines in: --listen ${everywhere}`;
  return { check, level: 'note', what: 'can be dialled from this machine only', fix };
}

function behindWindows(inner: string | undefined, host = '<address of this system>'): Finding {
  const port = portOf(inner);
  const forward = `netsh interface portproxy add v4tov4 listenport=${port} connectport=${port} connectaddress=${host}`;
  return {
    check: 'wsl',
    level: 'problem',
    what: 'WSL hides this system behind an address that only Windows reaches',
    fix: `set networkingMode=mirrored in .wslconfig; or run \`${forward}\` on Windows as administrator, and start Skein with --announce /ip4/<address of Windows>/tcp/${port}; or run Skein on Windows itself`,
  };
}

function windowsFirewall(port: number): Finding {
  const rule = (protocol: string, number: number): string =>
    `New-NetFirewallHyperVRule -Name Skein${protocol} -DisplayName 'Skein ${protocol}' -Direction Inbound -VMCreatorId '${wslCreator}' -Protocol ${protocol} -LocalPorts ${number}`;
  return {
    check: 'wsl',
    level: 'note',
    what: 'WSL shares the addresses of Windows, whose Hyper-V firewall lets nobody in unless a rule says so',
    fix: `in an administrator's PowerShell: ${rule('TCP', port)}; ${rule('UDP', 5353)}`,
  };
}

function inContainer(outward: readonly string[]): Finding {
  const what = `this container says that it can be dialled at ${outward.join(', ')}, which only its own machine reaches`;
  return { check: 'container', level: 'problem', what, fix: publishFix(portOf(outward[0])) };
}

function isInside(multiaddr: string): boolean {
  return isOfBridge(multiaddr) || furtherBridge.test(multiaddr);
}

/** Returns the IP address in a multiaddr; undefined where it names none. */
function hostOf(multiaddr: string): string | undefined {
  return /^\/ip[46]\/([^/]+)/.exec(multiaddr)?.[1];
}
