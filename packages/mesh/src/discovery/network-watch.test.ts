import type { NetworkInterfaceInfo } from 'node:os';

import { expect, onTestFinished, test, vi } from 'vitest';

import { chooseInterfaces, type NetworkInterfaces } from './interfaces.ts';
import { NetworkWatch } from './network-watch.ts';

function at(address: string): NetworkInterfaceInfo[] {
  return [{ address, internal: false, mac: '', netmask: '255.255.255.0', family: 'IPv4', cidr: `${address}/24` }];
}

test('tells of changes of the networks that matter, each once, and not of containers that come and go', () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
  onTestFinished(() => void vi.useRealTimers());
  let interfaces: NetworkInterfaces = { eth0: at('192.168.1.5') };
  const onChange = vi.fn<() => void>();
  const watch = new NetworkWatch({ onChange, relevant: (all) => chooseInterfaces(all), read: () => interfaces });
  watch.start();
  const become = (next: NetworkInterfaces): number => {
    interfaces = next;
    vi.advanceTimersByTime(2000);
    return onChange.mock.calls.length;
  };
  const container = { ...interfaces, veth4be1d02: at('169.254.7.1'), docker0: at('172.17.0.1') };
  expect(become(container)).toBe(0);
  expect(become({ eth0: at('192.168.1.5') })).toBe(0);
  expect(become({ eth0: at('192.168.1.6') })).toBe(1);
  expect(become({ ...container, eth0: at('192.168.1.6') })).toBe(1);
  expect(become({})).toBe(2);
  watch.stop();
  expect(become({ eth0: at('192.168.1.6') })).toBe(2);
  expect(watch.interfaces).toBe(interfaces);
});
