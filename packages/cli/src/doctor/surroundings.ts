import { execFile } from 'node:child_process';
import { release } from 'node:os';
import { promisify } from 'node:util';

import { isAnything } from '@skein/mesh';

const run = promisify(execFile);
const timeoutMs = 3000;

/** A system inside another one, as far as that matters to who reaches it. */
export type Surroundings = 'wsl-nat' | 'wsl-mirrored' | 'container';

/** Signs of such systems. */
export interface Signs {
  readonly platform: NodeJS.Platform;
  /** Release of the operating system's kernel. */
  readonly release: string;
  /** Networking mode that WSL tells of; undefined where it tells of none, as older versions do. */
  readonly wslMode: string | undefined;
  readonly interfaces: readonly string[];
  readonly isContainer: boolean;
}

/** Judges the signs. Undefined for a machine of its own, and for WSL on a bridge, which has an address of its own. */
export function judgeSurroundings({
  platform,
  release: kernel,
  wslMode,
  interfaces,
  isContainer,
}: Signs): Surroundings | undefined {
  if (platform !== 'linux') return undefined;
  if (isContainer) return 'container';
  if (!/microsoft/i.test(kernel) || wslMode === 'bridged') return undefined;
  // The interface by which a mirrored system talks with Windows.
  return wslMode === 'mirrored' || interfaces.includes('loopback0') ? 'wsl-mirrored' : 'wsl-nat';
}

/** Finds the system that this one is inside of. */
export async function findSurroundings(interfaces: readonly string[]): Promise<Surroundings | undefined> {
  const marks = await Promise.all(['/.dockerenv', '/run/.containerenv'].map(isAnything));
  return judgeSurroundings({
    platform: process.platform,
    release: release(),
    wslMode: await askWsl(),
    interfaces,
    isContainer: marks.includes(true),
  });
}

async function askWsl(): Promise<string | undefined> {
  if (!/microsoft/i.test(release())) return undefined;
  return await run('wslinfo', ['--networking-mode'], { timeout: timeoutMs, windowsHide: true }).then(
    ({ stdout }) => stdout.trim(),
    () => undefined,
  );
}
