import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import koffi from 'koffi';
import { beforeAll, describe, expect, it } from 'vitest';

import { tensorType } from '../../gguf/tensor-types.ts';
import { valueTypeNumbers } from '../../gguf/value-types.ts';
import { libraryDirectory } from '../../hardware/backend.ts';
import { enumerators, headers, memoryOf, structLayouts, unionLayouts } from './c-headers.ts';
import { loadLibllama, type Libllama } from './libllama.ts';

const run = promisify(execFile);

/** Types of the headers' fields, parameters and results that are no pointer, enum or struct, as koffi names them. */
const scalarTypes: Readonly<Record<string, string>> = {
  void: 'void',
  bool: 'bool',
  float: 'float',
  int: 'int32',
  int32_t: 'int32',
  llama_token: 'int32',
  llama_pos: 'int32',
  llama_seq_id: 'int32',
  uint32_t: 'uint32',
  double: 'double',
  int64_t: 'int64',
  size_t: 'size_t',
};
const pointerTypes: ReadonlySet<string> = new Set([
  'llama_memory_t',
  'llama_progress_callback',
  'ggml_abort_callback',
  'ggml_backend_buffer_type_t',
  'ggml_backend_dev_t',
  'ggml_backend_sched_eval_callback',
  'ggml_from_float_t',
  'ggml_log_callback',
  'ggml_to_float_t',
]);

/** Returns a type of a header as koffi sees it: an enum is an int, and all pointers are alike. */
function typeOf(type: string): string {
  const name = type.replace(/^const /, '').replace(/^struct /, '');
  if (name.includes('*') || name.endsWith('[]') || pointerTypes.has(name)) return 'void *';
  if (name.startsWith('enum ')) return 'int32';
  if (name in structLayouts || name in unionLayouts || /^char\[\d+\]$/.test(name)) return name;
  const scalar = scalarTypes[name];
  if (scalar === undefined) throw new Error(`the type ${type} of a header is not known to this test`);
  return scalar;
}

/** Returns name and type of a field or a parameter. */
function declared(declaration: string): [name: string, type: string] {
  const parsed = /^(.*?)\s*\b(\w+)(\[\d*\])?$/.exec(declaration.replaceAll(/\s+/g, ' ').trim());
  const [, type, name, extent = ''] = parsed ?? [];
  if (type === undefined || name === undefined) throw new Error(`${declaration} is no declaration`);
  return [name, typeOf(`${type}${extent}`)];
}

/** Returns the parts of a list that are not empty. */
function parts(list: string, separator: string): string[] {
  return list.split(separator).filter((part) => part.trim() !== '');
}

/** Returns the fields of a struct. Its union is the field `value`, of a type that is named after the struct. */
function fieldsOf(name: string): [field: string, type: string][] {
  const body = new RegExp(String.raw`struct ${name} \{((?:[^{}]|\{[^{}]*\})*)\}`).exec(source)?.[1];
  if (body === undefined) throw new Error(`no header has a struct ${name}`);
  return parts(body.replace(unionBody, `${name}_value value;`), ';').map(declared);
}

const unionBody = /union \{([^{}]*)\};/;

/** Returns the members of the union of a struct. */
function membersOf(struct: string): [member: string, type: string][] {
  const body = new RegExp(String.raw`struct ${struct} \{[^{}]*${unionBody.source}`).exec(source)?.[1];
  if (body === undefined) throw new Error(`no header has a union in ${struct}`);
  return parts(body, ';').map(declared);
}

function prototypeOf(name: string): { result: string; parameters: string[] } {
  const [, result, list] = new RegExp(String.raw`_API\s+([\w\s*]*?)\s*\b${name}\s*\(([^()]*)\)`).exec(source) ?? [];
  if (result === undefined || list === undefined) throw new Error(`no header has a function ${name}`);
  return {
    result: typeOf(result.replaceAll(/\s+/g, ' ')),
    parameters: parts(list, ',').flatMap((parameter) => (parameter.trim() === 'void' ? [] : [declared(parameter)[1]])),
  };
}

/** Returns the values of all enums. An enumerator without a value is one more than that before it. */
function readEnumerators(): Map<string, number> {
  const values = new Map<string, number>();
  for (const [, body] of source.matchAll(/enum \w+ \{([^}]*)\}/g)) {
    let next = 0;
    for (const enumerator of parts(body ?? '', ',')) {
      const [, name, number, shift] = /^\s*(\w+)(?:\s*=\s*(-?\d+)(?:\s*<<\s*(\d+))?)?\s*$/.exec(enumerator) ?? [];
      // Those that are sums of others, which none of ours is.
      if (name === undefined) continue;
      const value = number === undefined ? next : Number(number) << Number(shift ?? 0);
      values.set(name, value);
      next = value + 1;
    }
  }
  return values;
}

/** A type of koffi, as far as it tells. */
interface KoffiType {
  readonly name: string;
  readonly primitive: string;
}
interface KoffiFunction {
  readonly info: {
    readonly name: string;
    readonly arguments: readonly { type: KoffiType }[];
    readonly result: KoffiType;
  };
}

const primitives: Readonly<Record<string, string>> = {
  Void: 'void',
  Bool: 'bool',
  Float32: 'float',
  Int32: 'int32',
  UInt32: 'uint32',
  Int64: 'int64',
  UInt64: 'size_t',
};

function koffiTypeOf({ name, primitive }: KoffiType): string {
  return primitive === 'Record' ? name : (primitives[primitive] ?? 'void *');
}

let library: Libllama;
let original: ReadonlyMap<string, string>;
/** All headers, without comments. */
let source: string;

beforeAll(async () => {
  library = loadLibllama(await libraryDirectory('cpu'));
  const directory = await mkdtemp(join(tmpdir(), 'skein-llama-'));
  try {
    const entry = fileURLToPath(import.meta.resolve('node-llama-cpp'));
    const bundle = join(dirname(entry), '..', 'llama', 'gitRelease.bundle');
    await run('git', ['clone', '--quiet', '--no-checkout', bundle, directory]);
    const read = async (path: string) => {
      const { stdout } = await run('git', ['-C', directory, 'show', `HEAD:${path}`], { maxBuffer: 8 * 1024 * 1024 });
      return [path, stdout] as const;
    };
    original = new Map(await Promise.all(Object.keys(headers).map(read)));
  } finally {
    await rm(directory, { recursive: true });
  }
  source = [...original.values()].join('\n').replaceAll(/\/\/.*$|\/\*[\s\S]*?\*\//gm, '');
});

describe('what is known of the C headers', () => {
  it.each(Object.entries(headers))('was taken from this %s', (path, sha256) => {
    expect(
      createHash('sha256')
        .update(original.get(path) ?? '')
        .digest('hex'),
    ).toBe(sha256);
  });

  it.each(Object.entries(structLayouts))('has all fields of %s, in their order', (name, layout) => {
    const types = layout.map(([field, type]) => [field, type === 'int' ? 'int32' : type]);
    expect(types).toEqual(fieldsOf(name));
  });

  it.each(Object.entries(unionLayouts))('has all members of %s', (name, layout) => {
    expect(layout).toEqual(membersOf(name.replace(/_value$/, '')));
  });

  it.each(Object.entries(structLayouts))('knows where %s has them', (name, layout) => {
    const { bytes, offsets } = memoryOf(layout);
    expect(bytes).toBe(koffi.sizeof(name));
    expect(offsets).toEqual(Object.fromEntries(layout.map(([field]) => [field, koffi.offsetof(name, field)])));
  });

  it('has the values of their enums', () => {
    const values = readEnumerators();
    expect(enumerators).toEqual(Object.fromEntries(Object.keys(enumerators).map((name) => [name, values.get(name)])));
  });

  it('has the parameters and results of their functions', () => {
    const functions = Object.values(library).filter((value) => typeof value === 'function' && 'info' in value);
    const bound = functions.map((value) => (value as unknown as KoffiFunction).info);
    expect(bound.length).toBeGreaterThan(50);
    for (const { name, result, arguments: parameters } of bound) {
      const ours = { result: koffiTypeOf(result), parameters: parameters.map(({ type }) => koffiTypeOf(type)) };
      expect(ours, name).toEqual(prototypeOf(name));
    }
  });

  it('has the numbers and sizes of the tensor types', () => {
    const numbers = [...readEnumerators()].filter(([name]) => /^GGML_TYPE_(?!COUNT)/.test(name));
    expect(numbers.length).toBeGreaterThan(30);
    for (const [name, number] of numbers) {
      const { blockElements, blockBytes } = library.dequantizer(number);
      const type = tensorType(number);
      expect(type, name).toMatchObject({ blockSize: blockElements, blockBytes });
      expect(type?.name.toUpperCase()).toBe(name.slice('GGML_TYPE_'.length));
    }
  });

  it('has the numbers of the types of metadata', () => {
    const numbers = [...readEnumerators()].filter(([name]) => /^GGUF_TYPE_(?!COUNT)/.test(name));
    const ours = Object.entries(valueTypeNumbers).map(([name, number]) => [`GGUF_TYPE_${name.toUpperCase()}`, number]);
    expect(ours).toEqual(numbers);
  });
});
