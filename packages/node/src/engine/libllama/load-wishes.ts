import { SkeinError, type MetadataOverride } from '@skein/protocol';

import { enumerators, memoryOf, structLayouts } from './c-headers.ts';

/** Things asked of a load that llama.cpp passes over with a line in its log where it can't do them. */
export interface LoadWishes {
  /** Values that replace those of the model's metadata. Default: none. */
  readonly overrides?: readonly MetadataOverride[];
  /** Whether the file has all of the model's metadata, so that each override has to find its key. Default false. */
  readonly hasAllKeys?: boolean;
  /** Whether weights in main memory are locked there. Default false. */
  readonly locks?: boolean;
}

/** The lines of llama.cpp's log during a load that say what became of {@link LoadWishes}. */
export class LoadNotes {
  readonly #applied = new Set<string>();
  #refused: { readonly key: string; readonly expected: string } | undefined;
  #failedToLock = false;

  clear(): void {
    this.#applied.clear();
    this.#refused = undefined;
    this.#failedToLock = false;
  }

  add(text: string): void {
    const [, applied] = /Using metadata override \(\s*\w+\) '([^']*)'/.exec(text) ?? [];
    if (applied !== undefined) this.#applied.add(applied);
    const [, key, expected] = /Bad metadata override type for key '([^']*)', expected (\w+)/.exec(text) ?? [];
    if (key !== undefined && expected !== undefined) this.#refused ??= { key, expected };
    if (/failed to mlock|mlock not supported/.test(text)) this.#failedToLock = true;
  }

  /**
   * Checks a load that succeeded.
   *
   * @throws SkeinError `invalid-request` for an override that was not applied, `engine-failed` when memory could not be
   *   locked
   */
  check({ overrides = [], hasAllKeys = false, locks = false }: LoadWishes): void {
    if (this.#refused !== undefined) {
      const { key, expected } = this.#refused;
      throw wrongOverride(`${key} is of type ${expected} in this model; give it as ${key}=${expected}:value`);
    }
    const missed = hasAllKeys ? overrides.find(({ key }) => !this.#applied.has(key)) : undefined;
    if (missed !== undefined) {
      throw wrongOverride(`llama.cpp reads no ${missed.key} of this model; leave it out or correct the key`);
    }
    if (locks && this.#failedToLock) {
      throw new SkeinError(
        'engine-failed',
        "this machine may not lock the stage's weights in memory; raise its limit (`ulimit -l unlimited`, LimitMEMLOCK=infinity in a service), or deploy without lockMemory (--mlock)",
      );
    }
  }
}

function wrongOverride(message: string): SkeinError {
  return new SkeinError('invalid-request', message, { details: { param: 'metadataOverrides' } });
}

const { bytes: overrideBytes, offsets } = memoryOf(structLayouts.llama_model_kv_override);
/** Values of `llama_model_kv_override_type`. */
const overrideTypes = {
  int: enumerators.LLAMA_KV_OVERRIDE_TYPE_INT,
  float: enumerators.LLAMA_KV_OVERRIDE_TYPE_FLOAT,
  bool: enumerators.LLAMA_KV_OVERRIDE_TYPE_BOOL,
  str: enumerators.LLAMA_KV_OVERRIDE_TYPE_STR,
};

/** Writes a list of `llama_model_kv_override`, which ends with one whose key is empty. */
export function encodeOverrides(overrides: readonly MetadataOverride[]): Uint8Array {
  const bytes = new Uint8Array((overrides.length + 1) * overrideBytes);
  const view = new DataView(bytes.buffer);
  const texts = new TextEncoder();
  for (const [index, { key, value }] of overrides.entries()) {
    const start = index * overrideBytes;
    view.setInt32(start + offsets.tag, overrideTypes[value.type], true);
    bytes.set(texts.encode(key), start + offsets.key);
    const at = start + offsets.value;
    switch (value.type) {
      case 'int':
        view.setBigInt64(at, BigInt(value.number), true);
        break;
      case 'float':
        view.setFloat64(at, value.number, true);
        break;
      case 'bool':
        view.setUint8(at, Number(value.flag));
        break;
      case 'str':
        bytes.set(texts.encode(value.text), at);
        break;
    }
  }
  return bytes;
}
