import type { NetworkInterfaceInfo } from 'node:os';

import { expect, test } from 'vitest';

import { choosePreset } from './choose-preset.ts';

function at(address: string): NetworkInterfaceInfo[] {
  const internal = address.startsWith('127.');
  return [{ address, internal, mac: '', netmask: '255.255.255.0', family: 'IPv4', cidr: `${address}/24` }];
}

const laptop = { lo: at('127.0.0.1'), eth0: at('192.168.1.10'), wlan0: at('192.168.2.10'), docker0: at('172.17.0.1') };
const wireless = async (interfaces: object) => Object.keys(interfaces).filter((name) => name.startsWith('wlan'));

test.each([
  ['all of a laptop on Wi-Fi', ['/ip4/0.0.0.0/tcp/7330'], undefined, 'wifi'],
  ['its wireless address alone', ['/ip4/192.168.2.10/tcp/7330'], undefined, 'wifi'],
  ['its cable alone, by address', ['/ip4/192.168.1.10/tcp/7330'], undefined, 'lan'],
  ['its cable alone, by name', ['/ip4/0.0.0.0/tcp/7330'], ['eth0'], 'lan'],
  ['this machine alone', ['/ip4/127.0.0.1/tcp/7330'], undefined, 'lan'],
] as const)('listening on %s takes the right preset', async (_, listen, only, preset) => {
  expect(await choosePreset({ listen, only }, laptop, wireless)).toBe(preset);
});

test('a wire is a lan', async () => {
  const { wlan0: _, ...desktop } = laptop;
  expect(await choosePreset({ listen: ['/ip4/0.0.0.0/tcp/7330'] }, desktop, wireless)).toBe('lan');
});
