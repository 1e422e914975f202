import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { format, resolveConfig, type Options } from 'prettier';

import type { BenchReport } from '../bench-case.ts';
import { cases } from '../cases/index.ts';
import { benchmarksPage } from './page.ts';

const documents = join(import.meta.dirname, '..', '..', '..', 'docs');

/** Makes `docs/benchmarks.md` from the results in `docs/benchmarks`, which it formats. Returns the page's path. */
export async function writeReport(): Promise<string> {
  const results = join(documents, 'benchmarks');
  const files = (await readdir(results).catch(() => [])).filter((file) => file.endsWith('.json'));
  if (files.length === 0) {
    throw new Error(
      `no results in ${results}; run \`npm run --silent bench -- <case> --json\` into it, e.g. as pool.json`,
    );
  }
  const reports = await Promise.all(
    files.map(async (file) => {
      const path = join(results, file);
      const content = await readFile(path, 'utf8');
      await writeFormatted(path, content);
      return JSON.parse(content) as BenchReport;
    }),
  );
  const order = [...cases.keys()];
  const sorted = reports.toSorted((one, other) => order.indexOf(one.case) - order.indexOf(other.case));
  const page = join(documents, 'benchmarks.md');
  await writeFormatted(page, benchmarksPage(sorted));
  return page;
}

/** Writes a file in the format that the check demands. */
async function writeFormatted(path: string, content: string): Promise<void> {
  const options: Options = { ...(await resolveConfig(path)), filepath: path };
  await writeFile(path, await format(content, options));
}
