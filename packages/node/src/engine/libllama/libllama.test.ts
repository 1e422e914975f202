import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { libraryDirectory } from '../../hardware/backend.ts';
import { loadLibllama, structLayouts, supportedLlamaVersion, tokenAttributes } from './libllama.ts';

const run = promisify(execFile);

/** The C types of the fields, as koffi names them. Enums are ints; function pointers and structs behind a pointer are pointers. */
const scalarTypes: Readonly<Record<string, string>> = {
  int32_t: 'int32',
  uint32_t: 'uint32',
  int64_t: 'int64',
  size_t: 'size_t',
  float: 'float',
  bool: 'bool',
};
const functionPointers: ReadonlySet<string> = new Set([
  'llama_progress_callback',
  'ggml_backend_sched_eval_callback',
  'ggml_abort_callback',
  'ggml_to_float_t',
  'ggml_from_float_t',
]);

function fieldsOf(header: string, name: string): [string, string][] {
  const body = new RegExp(String.raw`struct ${name} \{([\s\S]*?)\n    \}`).exec(header)?.[1];
  if (body === undefined) throw new Error(`${name} is not in the header`);
  return body
    .replaceAll(/\/\/.*$/gm, '')
    .split(';')
    .map((declaration) => declaration.replaceAll(/\s+/g, ' ').trim())
    .filter((declaration) => declaration !== '')
    .map((declaration) => {
      const [, type, field] = /^(.*?)\s*(\w+)$/.exec(declaration) ?? [];
      if (type === undefined || field === undefined) throw new Error(`not a field: ${declaration}`);
      return [field, koffiType(type.trim())];
    });
}

function koffiType(type: string): string {
  if (type.endsWith('*') || functionPointers.has(type) || type === 'ggml_backend_dev_t') return 'void *';
  if (type.startsWith('enum ')) return 'int';
  return scalarTypes[type] ?? type;
}

let sources: string;

beforeAll(async () => {
  sources = await mkdtemp(join(tmpdir(), 'skein-llama-'));
  const entry = fileURLToPath(import.meta.resolve('node-llama-cpp'));
  const bundle = join(dirname(entry), '..', 'llama', 'gitRelease.bundle');
  await run('git', ['clone', '--quiet', '--no-checkout', bundle, sources]);
});

afterAll(async () => {
  await rm(sources, { recursive: true });
});

async function header(path: string): Promise<string> {
  const { stdout } = await run('git', ['-C', sources, 'show', `HEAD:${path}`], { maxBuffer: 8 * 1024 * 1024 });
  return stdout;
}

describe('the binding of libllama', () => {
  it.each(Object.entries(structLayouts))('lays %s out as the bundled header does', async (name, layout) => {
    const path = name.startsWith('ggml') ? 'ggml/include/ggml.h' : 'include/llama.h';
    expect(layout).toEqual(fieldsOf(await header(path), name));
  });

  it('knows the bits of token attributes that the bundled header gives them', async () => {
    const source = await header('include/llama.h');
    const bitOf = (name: string): number =>
      1 << Number(new RegExp(String.raw`LLAMA_TOKEN_ATTR_${name} += 1 << (\d+)`).exec(source)?.[1]);
    const { unknown, control, userDefined, stripsLeft, stripsRight } = tokenAttributes;
    expect([unknown, control, userDefined, stripsLeft, stripsRight]).toEqual(
      ['UNKNOWN', 'CONTROL', 'USER_DEFINED', 'LSTRIP', 'RSTRIP'].map(bitOf),
    );
  });

  it('loads the version that the layouts were written for', async () => {
    const library = loadLibllama(await libraryDirectory('cpu'));
    expect(library.deviceCount()).toBeGreaterThan(0);
    expect(library.contextDefaultParams()).toMatchObject({ n_ctx: 512, n_ubatch: 512, type_k: 1, type_v: 1 });
    expect(supportedLlamaVersion).toMatch(/^0\./);
  });
});
