import { readFileSync } from 'node:fs';
import { freemem, totalmem } from 'node:os';
import { join } from 'node:path';

/** Main memory, in bytes. */
export interface MainMemory {
  /** All of it that this process may use. */
  readonly memoryBytes: number;
  /** Memory that programs can have now, that of caches included. */
  readonly freeMemoryBytes: number;
}

/** The operating system's statements about memory, in bytes. */
export interface MemoryReadings {
  readonly totalBytes: number;
  readonly freeBytes: number;
  /** Limit of this process's container; 0 or more than there is where it has none. */
  readonly limitBytes: number;
  /** Memory that the limit leaves, or that is free without one. Counts the cache of files as taken. */
  readonly availableBytes: number;
  /** Cache of files that counts against the limit, and that the kernel gives back. 0 without a limit. */
  readonly cacheBytes: number;
}

/** Measures main memory now. */
export function measureMainMemory(): MainMemory {
  const limitBytes = process.constrainedMemory();
  return mainMemory({
    totalBytes: totalmem(),
    freeBytes: freemem(),
    limitBytes,
    availableBytes: process.availableMemory(),
    cacheBytes: process.platform === 'linux' && limitBytes > 0 ? readCacheBytes('/') : 0,
  });
}

/**
 * Returns the memory that this process may use. Within a container that is its limit; the files that it has read, such
 * as mapped models, count as taken there, though the kernel drops them before it refuses anything.
 */
export function mainMemory(readings: MemoryReadings): MainMemory {
  const { totalBytes, freeBytes, limitBytes, availableBytes, cacheBytes } = readings;
  const isLimited = limitBytes > 0 && limitBytes < totalBytes;
  if (!isLimited) return { memoryBytes: totalBytes, freeMemoryBytes: Math.min(availableBytes, totalBytes) };
  return { memoryBytes: limitBytes, freeMemoryBytes: Math.min(availableBytes + cacheBytes, limitBytes, freeBytes) };
}

/**
 * Reads how much cache of files counts against the memory limit of this process's control group, of either version; 0
 * where that can't be read.
 *
 * @param root directory in which `proc` and `sys` lie
 */
export function readCacheBytes(root: string): number {
  const groups = readText(join(root, 'proc/self/cgroup'));
  for (const line of groups.split('\n')) {
    const [hierarchy = '', controllers = '', path = ''] = line.split(':');
    const isV2 = hierarchy === '0' && controllers === '';
    if (!isV2 && !controllers.split(',').includes('memory')) continue;
    const mount = join(root, isV2 ? 'sys/fs/cgroup' : 'sys/fs/cgroup/memory');
    // A container sees its own group at the root, under a path that is the host's.
    for (const group of [join(mount, path), mount]) {
      const bytes = cacheIn(readText(join(group, 'memory.stat')), isV2 ? '' : 'total_');
      if (bytes !== undefined) return bytes;
    }
  }
  return 0;
}

function cacheIn(statistics: string, prefix: string): number | undefined {
  const read = (name: string): number | undefined => {
    const value = new RegExp(String.raw`^${prefix}${name} (\d+)$`, 'm').exec(statistics)?.[1];
    return value === undefined ? undefined : Number(value);
  };
  const [active, inactive] = [read('active_file'), read('inactive_file')];
  return active === undefined || inactive === undefined ? undefined : active + inactive;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
