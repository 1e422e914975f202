import { mkdir, writeFile } from 'node:fs/promises';
import { totalmem } from 'node:os';
import { dirname, join } from 'node:path';

import { describe, expect, it, test } from 'vitest';

import { temporaryDirectory } from '../sources/test-support/temporary-directory.ts';
import { mainMemory, measureMainMemory, readCacheBytes } from './main-memory.ts';

const gibibyte = 1024 ** 3;

describe('main memory', () => {
  it('is that of the machine, and what is available of it, without a limit', () => {
    const readings = { totalBytes: 32 * gibibyte, freeBytes: gibibyte, availableBytes: 20 * gibibyte, cacheBytes: 0 };
    const expected = { memoryBytes: 32 * gibibyte, freeMemoryBytes: 20 * gibibyte };
    expect(mainMemory({ ...readings, limitBytes: 0 })).toEqual(expected);
    // Version 1 of control groups writes no limit as a number.
    expect(mainMemory({ ...readings, limitBytes: 0x7f_ff_ff_ff_ff_ff_f0_00 })).toEqual(expected);
  });

  it('in a container is its limit, and cached files count as free', () => {
    const readings = { totalBytes: 64 * gibibyte, freeBytes: 50 * gibibyte, limitBytes: 16 * gibibyte };
    expect(mainMemory({ ...readings, availableBytes: 2 * gibibyte, cacheBytes: 10 * gibibyte })).toEqual({
      memoryBytes: 16 * gibibyte,
      freeMemoryBytes: 12 * gibibyte,
    });
  });

  it('in a container is no more than what the machine has', () => {
    const readings = { totalBytes: 64 * gibibyte, freeBytes: 3 * gibibyte, limitBytes: 16 * gibibyte };
    expect(mainMemory({ ...readings, availableBytes: 15 * gibibyte, cacheBytes: 0 }).freeMemoryBytes).toBe(
      3 * gibibyte,
    );
  });

  it('of this machine is measured', () => {
    const { memoryBytes, freeMemoryBytes } = measureMainMemory();
    expect(memoryBytes).toBeLessThanOrEqual(totalmem());
    expect(freeMemoryBytes).toBeGreaterThan(0);
    expect(freeMemoryBytes).toBeLessThanOrEqual(memoryBytes);
  });
});

const v1 = '12:memory:/docker/4f1c\n11:cpu,cpuacct:/docker/4f1c\n0::/system.slice\n';
const statistics = 'anon 5\nfile 90\ninactive_file 30\nactive_file 20\n';
const v1Statistics = `cache 90\n${statistics}total_inactive_file 7\ntotal_active_file 4\n`;

test.each<[name: string, files: Readonly<Record<string, string>>, bytes: number]>([
  ['version 2', { 'proc/self/cgroup': '0::/a\n', 'sys/fs/cgroup/a/memory.stat': statistics }, 50],
  ['a container of version 2', { 'proc/self/cgroup': '0::/../x\n', 'sys/fs/cgroup/memory.stat': statistics }, 50],
  ['version 1', { 'proc/self/cgroup': v1, 'sys/fs/cgroup/memory/docker/4f1c/memory.stat': v1Statistics }, 11],
  ['a container of version 1', { 'proc/self/cgroup': v1, 'sys/fs/cgroup/memory/memory.stat': v1Statistics }, 11],
  ['a file of another form', { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/memory.stat': 'file lots' }, 0],
  ['no control groups', {}, 0],
])('reads the cache of %s', async (_name, files, bytes) => {
  await using directory = await temporaryDirectory();
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(directory.path, path)), { recursive: true });
    await writeFile(join(directory.path, path), text);
  }
  expect(readCacheBytes(directory.path)).toBe(bytes);
});
