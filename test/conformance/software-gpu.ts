import { copyFile, readdir } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

import { vi } from 'vitest';

import { loadLibllama, type Libllama } from '../../packages/node/src/engine/libllama/libllama.ts';
import { libraryDirectories } from '../../packages/node/src/hardware/backend.ts';
import { lookForGpus } from '../../packages/node/src/hardware/detect.ts';

const driverDirectories = ['/usr/share/vulkan/icd.d', '/etc/vulkan/icd.d', '/usr/local/share/vulkan/icd.d'];

/** The Vulkan build of llama.cpp with software devices. */
export interface SoftwareGpus {
  readonly library: Libllama;
  /** Lines of llama.cpp's log so far. */
  readonly log: string[];
}

/**
 * Opens Mesa's software Vulkan device, listed as often as said. llama.cpp skips devices that are CPUs unless they are
 * named, which a variable does. Unstub the variables of the environment at the end.
 *
 * @param directory for the lists of drivers
 * @returns the reason where this machine lacks it
 */
export async function openSoftwareGpus(directory: string, count: number): Promise<SoftwareGpus | string> {
  const driver = await findDriver();
  if (driver === undefined) return "Mesa's software Vulkan driver is not installed: install mesa-vulkan-drivers";
  const numbers = Array.from({ length: count }, (_, number) => number);
  const lists = numbers.map((number) => join(directory, `driver-${number}.json`));
  for (const path of lists) await copyFile(driver, path);
  vi.stubEnv('VK_ICD_FILENAMES', lists.join(delimiter));
  vi.stubEnv('GGML_VK_VISIBLE_DEVICES', numbers.join(','));
  vi.stubEnv('LP_NUM_THREADS', '1');
  const libraries = await libraryDirectories('vulkan').catch(() => undefined);
  const found = libraries && (await lookForGpus('vulkan', libraries));
  if (libraries === undefined || found === undefined || 'searchFailure' in found || found.gpus.length !== count) {
    return `the Vulkan build of llama.cpp does not see the software device, ${count} times`;
  }
  const log: string[] = [];
  return { library: loadLibllama(libraries.directory, { log: (_level, text) => void log.push(text) }), log };
}

async function findDriver(): Promise<string | undefined> {
  for (const candidate of driverDirectories) {
    const names = await readdir(candidate).catch(() => []);
    const name = names.find((entry) => /^lvp_icd.*\.json$/.test(entry));
    if (name !== undefined) return join(candidate, name);
  }
  return undefined;
}
