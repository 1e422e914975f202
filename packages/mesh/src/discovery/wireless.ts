import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { isAnything } from '../files/read-file.ts';
import { runPowerShell } from '../system/power-shell.ts';
import type { NetworkInterfaces } from './interfaces.ts';

const run = promisify(execFile);
const timeoutMs = 5000;

/** Finds the wireless ones among interfaces of this machine, and returns their names. */
export type FindWireless = (interfaces: NetworkInterfaces) => Promise<readonly string[]>;

/** Finds wireless interfaces as the platform tells of them; none where it does not tell. Never throws. */
export async function findWireless(interfaces: NetworkInterfaces): Promise<readonly string[]> {
  try {
    switch (process.platform) {
      case 'linux':
        return await wirelessInSysfs(interfaces, '/sys/class/net');
      case 'darwin': {
        const { stdout } = await run('/usr/sbin/networksetup', ['-listallhardwareports'], {
          timeout: timeoutMs,
          windowsHide: true,
        });
        const devices = wirelessPorts(stdout);
        return Object.keys(interfaces).filter((name) => devices.has(name));
      }
      case 'win32':
        return withHardwareAddress(interfaces, wirelessAdapters(await runPowerShell(listAdapters)));
      default:
        return [];
    }
  } catch {
    return [];
  }
}

/** Finds wireless interfaces in the directory that Linux describes them in: each has an entry that no other one has. */
export async function wirelessInSysfs(interfaces: NetworkInterfaces, directory: string): Promise<readonly string[]> {
  const names = Object.keys(interfaces);
  const isWireless = await Promise.all(
    names.map(async (name) => {
      const signs = ['phy80211', 'wireless'].map(async (sign) => await isAnything(join(directory, name, sign)));
      return (await Promise.all(signs)).includes(true);
    }),
  );
  return names.filter((_, index) => isWireless[index]);
}

/** Reads the output of `networksetup -listallhardwareports`, and returns the devices of wireless ports. */
export function wirelessPorts(output: string): ReadonlySet<string> {
  const devices = output.matchAll(/^Hardware Port: (?:Wi-Fi|AirPort)\b.*\r?\nDevice: (\S+)/gm);
  return new Set([...devices].map(([, device = '']) => device));
}

/** Numbers instead of names, which Windows translates. */
const listAdapters = 'Get-NetAdapter -Physical | ForEach-Object { "$($_.MacAddress) $([int]$_.NdisPhysicalMedium)" }';

/** Wireless kinds of NDIS_PHYSICAL_MEDIUM: wireless LAN, mobile network, native 802.11. */
const wirelessMedia: ReadonlySet<string> = new Set(['1', '8', '9']);

/** Reads lines of a hardware address and a number of NDIS_PHYSICAL_MEDIUM, and returns the addresses of wireless ones. */
export function wirelessAdapters(output: string): ReadonlySet<string> {
  const lines = output.matchAll(/^([0-9A-F]{2}(?:-[0-9A-F]{2}){5}) (\d+)\s*$/gim);
  return new Set(
    [...lines].flatMap(([, address = '', medium = '']) =>
      wirelessMedia.has(medium) ? [address.replaceAll('-', ':').toLowerCase()] : [],
    ),
  );
}

/**
 * Returns the names of interfaces with one of these hardware addresses. A switch of Hyper-V has that of the adapter
 * below it, and is as wireless.
 */
export function withHardwareAddress(interfaces: NetworkInterfaces, addresses: ReadonlySet<string>): readonly string[] {
  return Object.entries(interfaces).flatMap(([name, infos]) =>
    infos?.some(({ mac }) => addresses.has(mac.toLowerCase())) === true ? [name] : [],
  );
}
