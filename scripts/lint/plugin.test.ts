import { spawnSync } from 'node:child_process';
import { mkdir, mkdtempDisposable, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { beforeAll, describe, expect, test } from 'vitest';
import { z } from 'zod';

/** Our rules on sources that break or keep them. One run of the linter checks them all. */
interface Source {
  readonly text: string;
  /** Path of the file in the project. Default: one that no rule treats apart. */
  readonly path?: string;
  /** Number of complaints of the rule. */
  readonly complaints: number;
}

const root = fileURLToPath(new URL('../..', import.meta.url));
const reportSchema = z.object({ diagnostics: z.array(z.object({ code: z.string(), filename: z.string() })) });

const breaks = (texts: readonly string[], path?: string): Source[] =>
  texts.map((text) => ({ text, ...(path !== undefined && { path }), complaints: 1 }));

const keeps = (texts: readonly string[], path?: string): Source[] =>
  texts.map((text) => ({ text, ...(path !== undefined && { path }), complaints: 0 }));

const libp2pImports = [
  `import { createLibp2p } from 'libp2p';`,
  `import type { Stream } from '@libp2p/interface';`,
  `export { yamux } from '@chainsafe/libp2p-yamux';`,
  `export * from '@multiformats/multiaddr';`,
  `import { Uint8ArrayList } from 'uint8arraylist';`,
  `export const tcp = await import('@libp2p/tcp');`,
  `export type Address = import('@multiformats/multiaddr').Multiaddr;`,
];

const sources: Readonly<Record<string, readonly Source[]>> = {
  'no-raw-abort-listener': [
    ...breaks(
      [
        `signal.addEventListener('abort', stop, { once: true });`,
        `signal?.addEventListener('abort', stop);`,
        `await once(signal, 'abort');`,
        `signal.onabort = stop;`,
        `onAbort(signal, stop);`,
      ].map((line) => `declare const signal: AbortSignal;\n${line}\n`),
    ),
    ...keeps([
      `export function listen(signal: AbortSignal, host: EventTarget, stop: () => void): Disposable {
        using _abort = onAbort(signal, stop);
        host.addEventListener('close', stop);
        return onAbort(signal, stop);
      }`,
    ]),
  ],
  'no-stand-in': [
    ...breaks(
      [
        'list[index] ?? 0',
        'list[0] ?? -1',
        'list[index]?.name ?? ""',
        'list.at(-1) ?? 0',
        'list.pop() ?? []',
        '"text".codePointAt(0) ?? 0',
      ].map(
        (expression) =>
          `declare const list: any[];\ndeclare const index: number;\nexport const found = ${expression};\n`,
      ),
    ),
    ...keeps([
      `declare const counts: Map<string, number>;
      declare const options: { readonly most?: number; readonly lists?: readonly number[] };
      const [first = 0] = options.lists ?? [];
      export const found = [counts.get('one') ?? 0, options.most ?? 0, options.lists?.[1] ?? 0, first];`,
    ]),
  ],
  'no-absent-splice': [
    ...breaks(['list.splice(list.indexOf(1), 1);', 'list.splice(list.findIndex(isWanted), 1);']),
    ...keeps(['list.splice(0, 1);', 'list.splice(index, 1);']),
  ],
  'no-error-class': breaks(['declare const error: unknown;\nexport const isOurs = error instanceof SkeinError;\n']),
  'documented-functions': [
    ...breaks(
      [
        'export function count(): number {',
        '// Counts.\nexport function count(): number {',
        '/** The number of all. */\nexport function count(): number {',
        '/** What there is of all. */\nexport function count(): number {',
        '/** The number of all. */\nexport const count = (): number => {',
        '/** The number of all. */\nexport async function* count(): AsyncGenerator<number> {',
      ].map((opening) => `${opening}\n  return 1;\n}\n`),
    ),
    ...keeps(
      [
        '/** Returns the number of all. */\nexport function count(): number {',
        '/**\n * Returns the number of all.\n */\nexport const count = (): number => {',
        'function count(): number {',
      ].map((opening) => `${opening}\n  return 1;\n}\n`),
    ),
  ],
  'libraries-within': [
    ...breaks(libp2pImports, 'packages/mesh/src/admission/member-admission.ts'),
    ...breaks(libp2pImports, 'scripts/attacks/attacker.ts'),
    ...keeps([libp2pImports.join('\n')], 'packages/mesh/src/transport/libp2p/create-host.ts'),
    ...breaks(
      [`export { GbnfJsonGenerator } from 'node-llama-cpp/dist/utils/gbnfJson/GbnfJsonGenerator.js';`],
      'packages/node/src/engine/json-schema/to-grammar.ts',
    ),
    ...keeps([`export { getLlama } from 'node-llama-cpp';`]),
  ],
  'named-subject': [
    ...breaks(
      [
        '// What is left over is freed.',
        '/** How much is left over. */',
        '/** Frees memory. Whoever waits is told. */',
        '// Frees what\n// is left over. Who waits is\n// told.',
        '/**\n * Frees memory.\n *\n * Which of them comes first does not matter.\n */',
      ].map((comment) => `${comment}\nexport const one = 1;\n`),
    ),
    ...keeps([
      `// Who is there? Frees what is left over, whoever waits.
      export const one = 1;
      // Nothing is left of what
      // Whole sentences said.
      export const two = 'What is left over is freed.';`,
    ]),
  ],
  'patient-files': [
    ...breaks([
      `import { rename } from 'node:fs/promises';`,
      `import { rm as remove } from 'node:fs/promises';`,
      `import { unlinkSync } from 'fs';`,
      `import * as fs from 'node:fs';`,
      `import fs from 'node:fs/promises';`,
    ]),
    ...keeps([
      `import { readFile, rmdir, writeFile } from 'node:fs/promises';\nimport type { Stats } from 'node:fs';\n`,
    ]),
    ...keeps([`import { rm } from 'node:fs/promises';\n`], 'source.test.ts'),
  ],
  'hidden-consoles': [
    ...breaks([
      `spawn('pip', ['--version'], { stdio: 'ignore' });`,
      `execFile('pip', (error) => error);`,
      `const run = promisify(execFile);\nawait run('pip', ['--version']);`,
    ]),
    ...keeps([
      `spawn('pip', ['--version'], { windowsHide: true });`,
      `execFile('pip', [], { timeout: 1, windowsHide: true }, (error) => error);`,
      `engine.spawn('pip');`,
      `const run = promisify(execFile);\nawait run('pip', [], { windowsHide: true });`,
    ]),
  ],
};

/** Rules that complain, by source. */
const found = new Map<Source, string[]>();

beforeAll(async () => {
  await using directory = await mkdtempDisposable(join(tmpdir(), 'skein-lint-'));
  const files = new Map<string, Source>();
  for (const source of Object.values(sources).flat()) {
    const file = join(directory.path, String(files.size), source.path ?? 'source.ts');
    files.set(file, source);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, source.text);
  }
  const oxlint = join(root, 'node_modules/oxlint/bin/oxlint');
  const options = ['--config', join(root, '.oxlintrc.json'), '--format', 'json'];
  const { stdout } = spawnSync(process.execPath, [oxlint, ...options, directory.path], { encoding: 'utf8' });
  for (const source of files.values()) found.set(source, []);
  for (const { code, filename } of reportSchema.parse(JSON.parse(stdout)).diagnostics) {
    const source = files.get(filename);
    if (source !== undefined) found.get(source)?.push(code);
  }
}, 60_000);

describe.each(Object.keys(sources))('%s', (rule) => {
  test.each(sources[rule] ?? [])('complains $complaints times about $text', (source) => {
    expect(found.get(source)?.filter((code) => code === `skein(${rule})`)).toHaveLength(source.complaints);
  });
});

test('each rule of ours is tried', async () => {
  const plugin = z.object({ default: z.object({ rules: z.record(z.string(), z.unknown()) }) });
  const { rules } = plugin.parse(await import(join(root, 'scripts/lint/plugin.js'))).default;
  expect(Object.keys(sources).toSorted()).toEqual(Object.keys(rules).toSorted());
});
