import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const rule = 'skein(no-raw-abort-listener)';

/** How often the rule complains about a source text. */
async function complaints(source: string): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-lint-'));
  try {
    const file = join(directory, 'source.ts');
    await writeFile(file, source);
    const command = [join(root, 'node_modules/oxlint/bin/oxlint'), '--config', join(root, '.oxlintrc.json'), file];
    const { stdout } = spawnSync(process.execPath, command, { encoding: 'utf8' });
    expect(stdout).toContain('Finished');
    return stdout.split(rule).length - 1;
  } finally {
    await rm(directory, { recursive: true });
  }
}

test.each([
  `signal.addEventListener('abort', stop, { once: true });`,
  `signal?.addEventListener('abort', stop);`,
  `await once(signal, 'abort');`,
  `signal.onabort = stop;`,
  `onAbort(signal, stop);`,
])('refuses an abort listener that nobody removes: %s', async (line) => {
  expect(await complaints(`declare const signal: AbortSignal;\n${line}\n`)).toBe(1);
});

test('takes listeners that are removed, and those of other events', async () => {
  const source = `
    export function listen(signal: AbortSignal, host: EventTarget, stop: () => void): Disposable {
      using _abort = onAbort(signal, stop);
      host.addEventListener('close', stop);
      return onAbort(signal, stop);
    }`;
  expect(await complaints(source)).toBe(0);
});
