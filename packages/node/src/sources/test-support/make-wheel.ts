import { createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

import { ZipFile } from 'yazl';

/** Writes a wheel that pip accepts, with a file beside the metadata, and others if any are given. Returns its path. */
export async function makeWheel(
  directory: string,
  options: {
    readonly name: string;
    readonly version: string;
    readonly member: string;
    readonly content: Uint8Array;
    /** Contents by path. */
    readonly others?: Readonly<Record<string, Uint8Array>>;
  },
): Promise<string> {
  const { name, version, member, content, others = {} } = options;
  const distribution = `${name.replaceAll('-', '_')}-${version}`;
  const files = {
    METADATA: `Metadata-Version: 2.1\nName: ${name}\nVersion: ${version}\n`,
    WHEEL: 'Wheel-Version: 1.0\nGenerator: skein\nRoot-Is-Purelib: true\nTag: py3-none-any\n',
    RECORD: '',
  };
  const archive = new ZipFile();
  for (const [path, bytes] of Object.entries({ [member]: content, ...others })) {
    archive.addBuffer(Buffer.from(bytes), path);
  }
  for (const [file, text] of Object.entries(files)) {
    archive.addBuffer(Buffer.from(text), `${distribution}.dist-info/${file}`);
  }
  archive.end();
  const path = join(directory, `${distribution}-py3-none-any.whl`);
  await pipeline(archive.outputStream, createWriteStream(path));
  return path;
}
