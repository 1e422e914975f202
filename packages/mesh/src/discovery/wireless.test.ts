import { mkdir, mkdtempDisposable } from 'node:fs/promises';
import { tmpdir, type NetworkInterfaceInfo } from 'node:os';
import { join } from 'node:path';

import { expect, test } from 'vitest';

import { findWireless, wirelessAdapters, wirelessInSysfs, wirelessPorts, withHardwareAddress } from './wireless.ts';

function at(mac: string): NetworkInterfaceInfo[] {
  const address = '192.168.1.10';
  return [{ address, mac, netmask: '255.255.255.0', family: 'IPv4', internal: false, cidr: `${address}/24` }];
}

test('knows wireless interfaces of Linux by their entries', async () => {
  await using root = await mkdtempDisposable(join(tmpdir(), 'skein-net-'));
  for (const path of ['eth0/device', 'wlan0/phy80211', 'wlan0/device', 'wlp3s0/wireless']) {
    await mkdir(join(root.path, path), { recursive: true });
  }
  const interfaces = { lo: at(''), eth0: at(''), wlan0: at(''), wlp3s0: at('') };
  expect(await wirelessInSysfs(interfaces, root.path)).toEqual(['wlan0', 'wlp3s0']);
});

test('reads which ports of a Mac are wireless', () => {
  const macBook = `
Hardware Port: Thunderbolt Ethernet Slot 1
Device: en5
Ethernet Address: 3c:18:a0:00:00:01

Hardware Port: Wi-Fi
Device: en0
Ethernet Address: f0:2f:4b:00:00:02

Hardware Port: Thunderbolt Bridge
Device: bridge0
Ethernet Address: 36:5b:c0:00:00:03

VLAN Configurations
===================
`;
  expect([...wirelessPorts(macBook)]).toEqual(['en0']);
  expect([...wirelessPorts('\nHardware Port: Ethernet\nDevice: en0\nEthernet Address: 14:98:77:00:00:04\n')]).toEqual(
    [],
  );
});

test('reads which adapters of Windows are wireless, and finds the interfaces that use them, however they are called', () => {
  const laptop = 'F8-B4-6A-00-00-01 14\r\n9C-B6-D0-00-00-02 9\r\n9C-B6-D0-00-00-03 10\r\n\r\n';
  const wireless = wirelessAdapters(laptop);
  const interfaces = {
    Ethernet: at('f8:b4:6a:00:00:01'),
    WLAN: at('9c:b6:d0:00:00:02'),
    'vEthernet (Extern)': at('9C:B6:D0:00:00:02'),
    'Bluetooth-Netzwerkverbindung': at('9c:b6:d0:00:00:03'),
  };
  expect(withHardwareAddress(interfaces, wireless)).toEqual(['WLAN', 'vEthernet (Extern)']);
  expect([...wirelessAdapters('Get-NetAdapter : Zugriff verweigert')]).toEqual([]);
});

test('takes an interface that is not there for a wired one', async () => {
  expect(await findWireless({ 'no-such-interface': at('02:00:00:00:00:01') })).toEqual([]);
});
