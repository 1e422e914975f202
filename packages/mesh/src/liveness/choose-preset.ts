import { chooseInterfaces, type NetworkInterfaces } from '../discovery/interfaces.ts';
import { findWireless, type FindWireless } from '../discovery/wireless.ts';
import { hostOf, isWildcard } from '../transport/addresses.ts';
import type { LivenessPreset } from './presets.ts';

export interface Reach {
  /** Multiaddrs that a member listens on. */
  readonly listen: readonly string[];
  /** Names of the interfaces to be dialled at. Default: the physical ones. */
  readonly only?: readonly string[] | undefined;
}

/**
 * Chooses the preset of a member that listens there: `wifi` where it can be reached on a wireless interface, on which
 * a `lan` would take it for dead while it saves power; else `lan`.
 */
export async function choosePreset(
  reach: Reach,
  interfaces: NetworkInterfaces,
  find: FindWireless = findWireless,
): Promise<LivenessPreset> {
  const reached = reachedOn(reach, interfaces);
  return Object.keys(reached).length > 0 && (await find(reached)).length > 0 ? 'wifi' : 'lan';
}

/** Returns the interfaces on which others reach a member. */
export function reachedOn({ listen, only }: Reach, interfaces: NetworkInterfaces): NetworkInterfaces {
  const hosts = new Set(listen.map(hostOf));
  const chosen = [...hosts].some(isWildcard) ? chooseInterfaces(interfaces, { only }).map(({ name }) => name) : [];
  return Object.fromEntries(
    Object.entries(interfaces).filter(
      ([name, infos]) =>
        infos?.every(({ internal }) => internal) === false &&
        (chosen.includes(name) || infos.some(({ address }) => hosts.has(address))),
    ),
  );
}
