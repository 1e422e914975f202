import type { Mesh } from '@skein/mesh';
import { formatBytes, type Hardware, type StagePlacement } from '@skein/protocol';

import { counted, printable } from '../output/format.ts';

/** Formats the devices that a machine computes on: `cuda: RTX 3090 (22.4 GiB of 24.0 GiB free)`, or its CPU. */
function describeDevices({ backend, gpus, cpu, cores }: Hardware): string {
  if (gpus.length === 0) return printable(`${cpu}, ${counted(cores, 'core', 'cores')}, ${backend}`);
  const devices = gpus.map(
    ({ name, memoryBytes, freeMemoryBytes }) =>
      `${name} (${formatBytes(freeMemoryBytes)} of ${formatBytes(memoryBytes)} free)`,
  );
  return printable(`${backend}: ${devices.join(', ')}`);
}

/** Returns the hardware on this machine's own card; undefined where it does not serve. */
export function ownHardware({ mesh }: { readonly mesh: Pick<Mesh, 'cards' | 'peerId'> }): Hardware | undefined {
  return mesh.cards.snapshot().find(({ peer }) => peer === mesh.peerId)?.hardware;
}

/**
 * Returns the lines of a starting machine about its hardware: the devices that it computes on, and why its GPU is not
 * used as it could be, if that is so.
 */
export function startupLines(hardware: Hardware | undefined): readonly string[] {
  if (hardware === undefined) return [];
  const { fallback } = hardware;
  return [
    `It computes on ${describeDevices(hardware)}.`,
    ...(fallback === undefined
      ? []
      : [`Its GPU is not used as it could be: ${printable(fallback)}. \`skein gpu\` says more.`]),
  ];
}

/** Formats where a stage lies: `30 layers on RTX 3090, 2 layers on the CPU by cuda`, and what did not go as wished. */
export function describePlacement({
  backend,
  devices,
  cpuLayers,
  expertLayers = 0,
  fallbacks,
}: StagePlacement): string {
  const parts = [
    ...devices.map(({ name, layers }) => `${counted(layers, 'layer', 'layers')} on ${name}`),
    ...(expertLayers > 0 ? [`the experts of ${counted(expertLayers, 'layer', 'layers')} on the CPU`] : []),
    ...(cpuLayers > 0 ? [`${counted(cpuLayers, 'layer', 'layers')} on the CPU`] : []),
  ];
  const notes = fallbacks.map((fallback) => `; ${fallback}`).join('');
  return printable(`${parts.join(', ')}${devices.length > 0 ? ` by ${backend}` : ''}${notes}`);
}
