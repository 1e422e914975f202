import type { NetworkInterfaceInfo } from 'node:os';

/** A network interface on which members are found, or by which they reach this machine. */
export interface LocalInterface {
  readonly name: string;
  /** Its first IPv4 address, from which members are looked for; undefined where it has none. */
  readonly ipv4: string | undefined;
  /** Its addresses at which it can be dialled, IPv4 first. Link-local IPv6 means nothing without the reader's own zone. */
  readonly addresses: readonly string[];
}

export type NetworkInterfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

/**
 * Names of interfaces by which nobody on the LAN reaches this machine, or nobody should: bridges of containers and of
 * virtual machines, and tunnels. Linux and macOS name them by kind; Windows shows the names of their drivers.
 */
const virtualNames: readonly RegExp[] = [
  // Docker, Podman, Kubernetes, LXC and the like.
  /^(docker|br-[0-9a-f]{4,12}$|veth(?!ernet)|cni|flannel|cali|cilium|kube|nodelocaldns|weave|podman|lxc|lxd|incus)/i,
  // Virtual machines: libvirt, VMware, VirtualBox, Parallels, Proxmox, QEMU; macOS's shared networks are bridge100 on.
  /^(virbr|vmnet|vboxnet|vnet\d|vnic\d|fwbr|fwpr|fwln|tap|bridge1\d\d$|VMware Network Adapter|VirtualBox Host-Only)/i,
  // Switches that Windows makes by itself, and WSL's.
  /^vEthernet \((Default Switch|WSL|nat\b|DockerNAT)/i,
  // Tunnels.
  /^(tun|utun|wg|ipsec|ppp|tailscale|zt|ZeroTier|NordLynx|proton|mullvad|OpenVPN|WireGuard|Hamachi)/i,
  // Apple's own: AWDL, low-latency WLAN, the coprocessor.
  /^(awdl|llw|anpi)/i,
];

/**
 * Beginnings of the hardware addresses that a host's own virtual adapters have, under whatever name: switches of
 * Hyper-V that are not on a network card, VMware's VMnet adapters, VirtualBox's host-only ones. A Hyper-V switch that
 * _is_ on a network card has taken over that card's address, and is how such a machine is on its LAN. Guests of these
 * have other beginnings, but for Hyper-V's, whose adapters are not called vEthernet.
 */
const virtualHardware: readonly { readonly name: RegExp; readonly mac: RegExp }[] = [
  { name: /^vEthernet/i, mac: /^00:15:5d/i },
  { name: /./, mac: /^00:50:56:c0:00/i },
  { name: /./, mac: /^0a:00:27/i },
];

// Machines on one Thunderbolt cable give themselves addresses: no router is there to do it.
const thunderbolt = /^(bridge\d|thunderbolt\d+)$/;
const linkLocal = /^169\.254\./;

/**
 * Chooses the interfaces to announce on and to be dialled at: physical ones, or those named in `only`, whatever they
 * are. Loopback only where there is nothing else, or `loopbackOnly` is set.
 */
export function chooseInterfaces(
  interfaces: NetworkInterfaces,
  options: { readonly only?: readonly string[] | undefined; readonly loopbackOnly?: boolean } = {},
): LocalInterface[] {
  const { only, loopbackOnly = false } = options;
  const entries = Object.entries(interfaces).map(([name, infos = []]) => ({ name, infos }));
  const loopback = usable(entries.filter(({ infos }) => infos.some(({ internal }) => internal)));
  if (loopbackOnly) return loopback;
  if (only !== undefined) return usable(entries.filter(({ name }) => only.includes(name)));
  const outward = usable(
    entries.flatMap(({ name, infos }) => {
      const outside = infos.filter(({ internal }) => !internal);
      if (isVirtual(name, outside)) return [];
      return { name, infos: outside.filter(({ address }) => !linkLocal.test(address) || thunderbolt.test(name)) };
    }),
  );
  return outward.length > 0 ? outward : loopback;
}

function isVirtual(name: string, infos: readonly NetworkInterfaceInfo[]): boolean {
  return (
    virtualNames.some((pattern) => pattern.test(name)) ||
    virtualHardware.some((kind) => kind.name.test(name) && infos.some(({ mac }) => kind.mac.test(mac)))
  );
}

function usable(
  entries: readonly { readonly name: string; readonly infos: readonly NetworkInterfaceInfo[] }[],
): LocalInterface[] {
  return entries.flatMap(({ name, infos }) => {
    const ipv4 = infos.filter(({ family }) => family === 'IPv4').map(({ address }) => address);
    const ipv6 = infos.filter(({ family, address }) => family === 'IPv6' && !isLinkLocalIpv6(address));
    const addresses = [...ipv4, ...ipv6.map(({ address }) => address)];
    return addresses.length === 0 ? [] : [{ name, ipv4: ipv4[0], addresses }];
  });
}

/** Tells whether an IPv6 address is of one link only, fe80 to febf. */
function isLinkLocalIpv6(address: string): boolean {
  return /^fe[89ab][0-9a-f]:/i.test(address);
}
