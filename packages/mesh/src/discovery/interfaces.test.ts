import type { NetworkInterfaceInfo } from 'node:os';

import { expect, test } from 'vitest';

import { chooseInterfaces, type NetworkInterfaces } from './interfaces.ts';

const plainMac = '3c:52:82:6a:01:9f';
const loopback = [address('127.0.0.1', '00:00:00:00:00:00'), address('::1', '00:00:00:00:00:00')];
const loopbackAlone = { lo: loopback };

function address(text: string, mac = plainMac): NetworkInterfaceInfo {
  const internal = text === '127.0.0.1' || text === '::1' || text.startsWith('10.255.255.');
  const common = { address: text, mac, internal, cidr: null };
  return text.includes(':')
    ? { ...common, family: 'IPv6', netmask: 'ffff:ffff:ffff:ffff::', scopeid: text.startsWith('fe80') ? 4 : 0 }
    : { ...common, family: 'IPv4', netmask: '255.255.255.0' };
}

const laptop: NetworkInterfaces = {
  lo: [address('127.0.0.1')],
  eth0: [address('192.168.1.5')],
  wlan0: [address('192.168.2.5')],
  docker0: [address('172.17.0.1')],
  'br-4f2a': [address('172.18.0.1')],
  wg0: [address('10.8.0.2')],
  eth1: [address('169.254.3.4')],
};

/** The interfaces of machines as `os.networkInterfaces()` shows them, and those by which others on the LAN reach them. */
const machines: readonly (readonly [machine: string, interfaces: NetworkInterfaces, chosen: readonly string[]])[] = [
  ['a laptop', laptop, ['eth0', 'wlan0']],
  ['a machine without a network', loopbackAlone, ['lo']],
  [
    'Windows, with an external Hyper-V switch on its network card',
    {
      'vEthernet (LAN)': [address('fe80::9d1c:4f4e:12ab:1', plainMac), address('192.168.1.40', plainMac)],
      'vEthernet (Default Switch)': [address('172.24.160.1', '00:15:5d:3a:0f:12')],
      'vEthernet (WSL (Hyper-V firewall))': [address('172.31.64.1', '00:15:5d:9b:51:e7')],
      'vEthernet (Lab)': [address('10.20.0.1', '00:15:5d:01:28:03')],
      'Loopback Pseudo-Interface 1': loopback,
    },
    ['vEthernet (LAN)'],
  ],
  [
    'Windows, with the default switch alone',
    {
      Ethernet: [address('192.168.1.41')],
      'vEthernet (Default Switch)': [address('172.24.160.1', '00:15:5d:3a:0f:12')],
      'vEthernet (nat)': [address('172.28.0.1', '00:15:5d:c4:20:01')],
      'Bluetooth Network Connection': [address('169.254.77.12', 'd8:f2:ca:11:22:33')],
      'Local Area Connection* 1': [address('169.254.10.8', 'da:f2:ca:11:22:33')],
      'Loopback Pseudo-Interface 1': loopback,
    },
    ['Ethernet'],
  ],
  [
    'Windows, with VMware Workstation',
    {
      'Wi-Fi': [address('192.168.1.42')],
      'VMware Network Adapter VMnet1': [address('192.168.56.1', '00:50:56:c0:00:01')],
      'Ethernet 5': [address('192.168.137.1', '00:50:56:c0:00:08')],
      'Loopback Pseudo-Interface 1': loopback,
    },
    ['Wi-Fi'],
  ],
  [
    'Windows, with VirtualBox',
    {
      Ethernet: [address('192.168.1.43')],
      'VirtualBox Host-Only Network': [address('192.168.56.1', '0a:00:27:00:00:0b')],
      'Ethernet 2': [address('192.168.99.1', '0a:00:27:00:00:10')],
      'Loopback Pseudo-Interface 1': loopback,
    },
    ['Ethernet'],
  ],
  [
    'Windows, with Tailscale, ZeroTier and a VPN',
    {
      Ethernet: [address('192.168.1.44')],
      Tailscale: [address('100.101.102.103')],
      'ZeroTier One [8056c2e21c000001]': [address('10.147.17.5')],
      'OpenVPN Wintun': [address('10.8.0.6')],
      'Loopback Pseudo-Interface 1': loopback,
    },
    ['Ethernet'],
  ],
  ['a guest of Hyper-V', { eth0: [address('192.168.1.45', '00:15:5d:01:28:07')], lo: loopback }, ['eth0']],
  ['a guest of VMware', { ens33: [address('192.168.1.46', '00:50:56:3f:12:0a')], lo: loopback }, ['ens33']],
  ['a guest of VirtualBox', { enp0s3: [address('192.168.1.47', '08:00:27:12:34:56')], lo: loopback }, ['enp0s3']],
  [
    'macOS, with AWDL, tunnels and a shared network',
    {
      lo0: [address('127.0.0.1'), address('::1'), address('fe80::1')],
      en0: [address('fe80::1c4f:1'), address('192.168.1.50'), address('2001:db8:1::50')],
      awdl0: [address('fe80::3c91:1')],
      llw0: [address('fe80::3c91:1')],
      utun0: [address('fe80::aa:1')],
      utun4: [address('100.90.1.2')],
      anpi0: [address('fe80::bb:1')],
      bridge100: [address('192.168.64.1')],
      vmenet0: [],
    },
    ['en0'],
  ],
  [
    'macOS, with a Thunderbolt bridge and no router on it',
    {
      lo0: [address('127.0.0.1')],
      en0: [address('192.168.1.51')],
      bridge0: [address('169.254.183.21')],
      en7: [address('169.254.5.5')],
    },
    ['en0', 'bridge0'],
  ],
  [
    'Linux on a Thunderbolt cable',
    { lo: loopback, enp5s0: [address('192.168.1.52')], thunderbolt0: [address('169.254.9.1')] },
    ['enp5s0', 'thunderbolt0'],
  ],
  [
    'Proxmox',
    {
      lo: loopback,
      vmbr0: [address('192.168.1.60'), address('fe80::5054:1')],
      tap100i0: [address('10.1.1.1')],
      fwbr100i0: [address('10.1.1.2')],
      veth101i0: [address('fe80::6:1')],
    },
    ['vmbr0'],
  ],
  [
    'a Docker host',
    {
      lo: loopback,
      enp3s0: [address('192.168.1.61')],
      docker0: [address('172.17.0.1', '02:42:4f:65:04:01')],
      'br-5d9c0ad3f1b2': [address('172.18.0.1', '02:42:9a:1c:00:01')],
      docker_gwbridge: [address('172.19.0.1')],
      veth4be1d02: [address('fe80::42:1')],
    },
    ['enp3s0'],
  ],
  ['a container', { lo: loopback, eth0: [address('172.17.0.2', '02:42:ac:11:00:02')] }, ['eth0']],
  [
    'a node of Kubernetes',
    {
      lo: loopback,
      eno1: [address('192.168.1.62')],
      cni0: [address('10.42.0.1')],
      'flannel.1': [address('10.42.0.0')],
      'kube-ipvs0': [address('10.43.0.1')],
      cilium_host: [address('10.0.0.1')],
    },
    ['eno1'],
  ],
  [
    'WSL2 behind NAT',
    { lo: [...loopback, address('10.255.255.254')], eth0: [address('172.20.112.7', '00:15:5d:aa:bb:cc')] },
    ['eth0'],
  ],
  [
    'Linux with Tailscale',
    { lo: loopback, wlp2s0: [address('192.168.1.63')], tailscale0: [address('100.64.0.7'), address('fd7a:115c::7')] },
    ['wlp2s0'],
  ],
  [
    'a router with a bridge for its LAN',
    { lo: loopback, 'br-lan': [address('192.168.1.1')], br0: [address('192.168.5.1')] },
    ['br-lan', 'br0'],
  ],
  ['a LAN without IPv4', { lo: loopback, eth0: [address('fe80::1:2'), address('2001:db8::7')] }, ['eth0']],
  ['a LAN with link-local IPv6 only', { lo: loopback, eth0: [address('fe80::1:2')] }, ['lo']],
];

test.each(machines)('finds the interfaces of %s that others reach', (_machine, interfaces, chosen) => {
  expect(chooseInterfaces(interfaces).map(({ name }) => name)).toEqual(chosen);
});

test('takes interfaces that are named, whatever they are', () => {
  expect(chooseInterfaces(laptop, { only: ['wg0'] }).map(({ name }) => name)).toEqual(['wg0']);
  expect(chooseInterfaces(laptop, { only: ['wg0', 'eth1'] }).map(({ name }) => name)).toEqual(['wg0', 'eth1']);
  expect(chooseInterfaces(laptop, { only: ['tailscale0'] })).toEqual([]);
});

test('takes loopback alone where nobody else may connect', () => {
  expect(chooseInterfaces(laptop, { loopbackOnly: true }).map(({ name }) => name)).toEqual(['lo']);
});

test('has all addresses that others can dial, and one to look for members from', () => {
  const eth0 = ['fe80::1:2', '2001:db8::7', '192.168.1.5', '192.168.1.6'].map((text) => address(text));
  expect(chooseInterfaces({ ...loopbackAlone, eth0 })).toEqual([
    { name: 'eth0', ipv4: '192.168.1.5', addresses: ['192.168.1.5', '192.168.1.6', '2001:db8::7'] },
  ]);
});
