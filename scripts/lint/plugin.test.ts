import { spawnSync } from 'node:child_process';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { expect, test } from 'vitest';

const root = fileURLToPath(new URL('../..', import.meta.url));
const abortRule = 'skein(no-raw-abort-listener)';
const standInRule = 'skein(no-stand-in)';
const spliceRule = 'skein(no-absent-splice)';
const errorClassRule = 'skein(no-error-class)';
const librariesRule = 'skein(libraries-within)';
const docstringRule = 'skein(documented-functions)';
const subjectRule = 'skein(named-subject)';
const patienceRule = 'skein(patient-files)';
const consoleRule = 'skein(hidden-consoles)';

/** Returns how often a rule complains about a source text, in a file of a given path. */
async function complaints(rule: string, source: string, path = 'source.ts'): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-lint-'));
  try {
    const file = join(directory, path);
    await mkdir(dirname(file), { recursive: true });
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
  expect(await complaints(abortRule, `declare const signal: AbortSignal;\n${line}\n`)).toBe(1);
});

test('takes listeners that are removed, and those of other events', async () => {
  const source = `
    export function listen(signal: AbortSignal, host: EventTarget, stop: () => void): Disposable {
      using _abort = onAbort(signal, stop);
      host.addEventListener('close', stop);
      return onAbort(signal, stop);
    }`;
  expect(await complaints(abortRule, source)).toBe(0);
});

test.each([
  'list[index] ?? 0',
  'list[0] ?? -1',
  'list[index]?.name ?? ""',
  'list.at(-1) ?? 0',
  'list.pop() ?? []',
  '"text".codePointAt(0) ?? 0',
])('refuses a stand-in for an element that has to be there: %s', async (expression) => {
  const source = `declare const list: any[];\ndeclare const index: number;\nexport const found = ${expression};\n`;
  expect(await complaints(standInRule, source)).toBe(1);
});

test('takes defaults of what may be missing', async () => {
  const source = `
    declare const counts: Map<string, number>;
    declare const options: { readonly most?: number; readonly lists?: readonly number[] };
    const [first = 0] = options.lists ?? [];
    export const found = [counts.get('one') ?? 0, options.most ?? 0, options.lists?.[1] ?? 0, first];
    `;
  expect(await complaints(standInRule, source)).toBe(0);
});

test.each(['list.splice(list.indexOf(1), 1)', 'list.splice(list.findIndex(isWanted), 1)'])(
  'refuses to remove an element that may be absent: %s',
  async (expression) => {
    const source = `declare const list: number[];\n${expression};\nlist.splice(0, 1);\n`;
    expect(await complaints(spliceRule, source)).toBe(1);
  },
);

test('refuses to ask for the class of an error, of which there may be two', async () => {
  const source = 'declare const error: unknown;\nexport const isOurs = error instanceof SkeinError;\n';
  expect(await complaints(errorClassRule, source)).toBe(1);
});

test.each([
  'export function count(): number {',
  '// Counts.\nexport function count(): number {',
  '/** The number of all. */\nexport function count(): number {',
  '/** What there is of all. */\nexport function count(): number {',
  '/** The number of all. */\nexport const count = (): number => {',
  '/** The number of all. */\nexport async function* count(): AsyncGenerator<number> {',
])('refuses an exported function without a docstring that begins with a verb: %s', async (opening) => {
  expect(await complaints(docstringRule, `${opening}\n  return 1;\n}\n`)).toBe(1);
});

test.each([
  '/** Returns the number of all. */\nexport function count(): number {',
  '/**\n * Returns the number of all.\n */\nexport const count = (): number => {',
  'function count(): number {',
])('takes a docstring that begins with a verb, and functions of one file: %s', async (opening) => {
  expect(await complaints(docstringRule, `${opening}\n  return 1;\n}\n`)).toBe(0);
});

const libp2pImports = [
  `import { createLibp2p } from 'libp2p';`,
  `import type { Stream } from '@libp2p/interface';`,
  `export { yamux } from '@chainsafe/libp2p-yamux';`,
  `export * from '@multiformats/multiaddr';`,
  `import { Uint8ArrayList } from 'uint8arraylist';`,
  `export const tcp = await import('@libp2p/tcp');`,
  `export type Address = import('@multiformats/multiaddr').Multiaddr;`,
];

test.each(libp2pImports)('refuses libp2p outside of the transport: %s', async (line) => {
  expect(await complaints(librariesRule, line, 'packages/mesh/src/admission/member-admission.ts')).toBe(1);
  expect(await complaints(librariesRule, line, 'scripts/attacks/attacker.ts')).toBe(1);
});

test('takes libp2p in the transport', async () => {
  const file = 'packages/mesh/src/transport/libp2p/create-host.ts';
  expect(await complaints(librariesRule, libp2pImports.join('\n'), file)).toBe(0);
});

test('refuses private files of node-llama-cpp everywhere, and takes its own API', async () => {
  const line = `export { GbnfJsonGenerator } from 'node-llama-cpp/dist/utils/gbnfJson/GbnfJsonGenerator.js';`;
  expect(await complaints(librariesRule, line, 'packages/node/src/engine/json-schema/to-grammar.ts')).toBe(1);
  expect(await complaints(librariesRule, `export { getLlama } from 'node-llama-cpp';`)).toBe(0);
});

test.each([
  '// What is left over is freed.',
  '/** Frees memory. Whoever waits is told. */',
  '// Frees what\n// is left over. Who waits is\n// told.',
  '/**\n * Frees memory.\n *\n * Which of them comes first does not matter.\n */',
])('refuses a sentence whose subject is a relative clause: %s', async (comment) => {
  expect(await complaints(subjectRule, `${comment}\nexport const one = 1;\n`)).toBe(1);
});

test('takes questions, and relative clauses elsewhere', async () => {
  const source = `
    // Who is there? Frees what is left over, whoever waits.
    export const one = 1;
    // Nothing is left of what
    // Whole sentences said.
    export const two = 'What is left over is freed.';`;
  expect(await complaints(subjectRule, source)).toBe(0);
});

test.each([
  `import { rename } from 'node:fs/promises';`,
  `import { rm as remove } from 'node:fs/promises';`,
  `import { unlinkSync } from 'fs';`,
  `import * as fs from 'node:fs';`,
  `import fs from 'node:fs/promises';`,
])('refuses to change files past what waits for a scanner: %s', async (line) => {
  expect(await complaints(patienceRule, `${line}\n`)).toBe(1);
});

test('takes reads and writes, and changes in tests', async () => {
  const source =
    "import { readFile, rmdir, writeFile } from 'node:fs/promises';\nimport type { Stats } from 'node:fs';\n";
  expect(await complaints(patienceRule, source)).toBe(0);
  expect(await complaints(patienceRule, "import { rm } from 'node:fs/promises';\n", 'source.test.ts')).toBe(0);
});

test.each([
  [`spawn('pip', ['--version'], { stdio: 'ignore' });`, 1],
  [`execFile('pip', (error) => error);`, 1],
  [`spawn('pip', ['--version'], { windowsHide: true });`, 0],
  [`execFile('pip', [], { timeout: 1, windowsHide: true }, (error) => error);`, 0],
  [`engine.spawn('pip');`, 0],
])('demands that a process opens no window: %s', async (line, count) => {
  expect(await complaints(consoleRule, `${line}\n`)).toBe(count);
});
