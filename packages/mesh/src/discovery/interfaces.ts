import type { NetworkInterfaceInfo } from 'node:os';

/** A network interface on which members are found. */
export interface LocalInterface {
  readonly name: string;
  /** Its first IPv4 address. */
  readonly address: string;
  readonly internal: boolean;
}

export type NetworkInterfaces = Readonly<Record<string, readonly NetworkInterfaceInfo[] | undefined>>;

// Bridges of containers and virtual machines, and tunnels: nobody on the LAN can reach us there, or nobody should.
const virtualName =
  /^(docker|br-|veth|virbr|vmnet|vboxnet|cni|flannel|cali|podman|lxc|lxd|tun|tap|utun|wg|tailscale|zt|ppp|ipsec|awdl|llw|anpi|vEthernet)/i;
const linkLocal = /^169\.254\./;

/**
 * Chooses the interfaces to announce on and to be dialled at: physical IPv4 ones, or those named in `only`, whatever
 * they are. Loopback only where there is nothing else, or `loopbackOnly` is set.
 */
export function chooseInterfaces(
  interfaces: NetworkInterfaces,
  options: { readonly only?: readonly string[] | undefined; readonly loopbackOnly?: boolean } = {},
): LocalInterface[] {
  const all = Object.entries(interfaces).flatMap(([name, infos]) => {
    const info = infos?.find(({ family }) => family === 'IPv4');
    return info === undefined ? [] : [{ name, address: info.address, internal: info.internal }];
  });
  const loopback = all.filter(({ internal }) => internal);
  if (options.loopbackOnly === true) return loopback;
  if (options.only !== undefined) return all.filter(({ name }) => options.only?.includes(name));
  const outward = all.filter(
    ({ name, address, internal }) => !internal && !virtualName.test(name) && !linkLocal.test(address),
  );
  return outward.length > 0 ? outward : loopback;
}
