import { join, relative } from 'node:path';

import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

/**
 * An order that begins with the suites that cross packages, many of which are a few lines that run for a minute: one
 * that began last would leave the other processors idle. Vitest's own order, by size on a clone that is new, follows.
 */
class LongSuitesFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isUnit = ({ moduleId }: TestSpecification) => relative(import.meta.dirname, moduleId).startsWith('packages');
    return [...sorted.filter((file) => !isUnit(file)), ...sorted.filter(isUnit)];
  }
}

// Tests start hundreds of processes of the same sources: Node keeps what it compiled of them, by their content. Workers, and
// what they start, inherit this; a process that is killed keeps nothing, but reads what others kept.
process.env['NODE_COMPILE_CACHE'] ??= join(import.meta.dirname, 'node_modules', '.cache', 'node-compile-cache');

export default defineConfig({
  test: {
    setupFiles: ['scripts/patient-tests.ts'],
    pool: 'forks',
    // Suites that start daemons wait a good part of their time: three keep the two processors of a small machine busy.
    maxWorkers: 3,
    sequence: { sequencer: LongSuitesFirst },
    testTimeout: 60_000,
    hookTimeout: 120_000,
    projects: [
      {
        extends: true,
        test: { name: 'whole', include: ['test/**/*.test.ts', 'scripts/**/*.test.ts'] },
      },
      {
        extends: true,
        // Loading what they test takes most suites of a package longer than the tests: they share processes, in which
        // it is loaded once.
        test: { name: 'packages', include: ['packages/*/src/**/*.test.ts'], isolate: false },
      },
    ],
  },
});
