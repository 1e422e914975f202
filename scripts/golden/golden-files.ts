import { appendFile, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { hasCode, methods } from '@skein/protocol';

import { headerCodec, inviteCodec, promptCodec, valueCodec, type Codec } from './codecs.ts';
import { invites, messagesOf, packedPrompts, statements, streamErrors, type WireMessages } from './wire-messages.ts';

const directory = fileURLToPath(new URL('../../packages/protocol/golden/', import.meta.url));

/** One golden line: a message's schema, and its bytes in hexadecimal digits. */
export interface GoldenLine {
  readonly name: string;
  readonly hex: string;
}

/** The messages of one version of a method, or of one statement, with their codec. */
export interface GoldenFile extends Codec {
  /** Name without its ending: `generate-1`. Another version has another file. */
  readonly name: string;
  readonly messages: readonly WireMessages[];
}

/** Lists the golden files of the versions that this build speaks. */
export function goldenFiles(): readonly GoldenFile[] {
  const ofMethods = Object.entries(messagesOf).map(([method, messages]) => {
    const { id } = methods[method as keyof typeof methods];
    return { name: id.replace('/skein/', '').replace('/', '-'), messages, ...headerCodec };
  });
  const ofStatements = Object.entries(statements).map(([name, messages]) => ({
    name: `statement-${name}`,
    messages: [messages],
    ...valueCodec,
  }));
  return [
    ...ofMethods,
    { name: 'stream-error-1', messages: [streamErrors], ...headerCodec },
    { name: 'packed-prompt-2', messages: [packedPrompts], ...promptCodec },
    { name: 'invite-1', messages: [invites], ...inviteCodec },
    ...ofStatements,
  ];
}

/** Returns the lines of today's examples. */
export function linesOf({ messages, encode }: GoldenFile): readonly GoldenLine[] {
  return messages.flatMap(({ name, examples }) =>
    examples.map((example) => ({ name, hex: Buffer.from(encode(example)).toString('hex') })),
  );
}

/** Reads the committed lines; none where there is no such file. */
export async function committedLines({ name }: GoldenFile): Promise<readonly GoldenLine[]> {
  const text = await readFile(`${directory}${name}.txt`, 'utf8').catch((error: unknown) => {
    if (hasCode(error, 'ENOENT')) return '';
    throw error;
  });
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const at = line.lastIndexOf(' ');
      return { name: line.slice(0, at), hex: line.slice(at + 1) };
    });
}

/** Appends the lines that a file lacks, and changes no other. Returns how many were added. */
export async function addMissing(file: GoldenFile): Promise<number> {
  const known = new Set((await committedLines(file)).map(({ hex }) => hex));
  const missing = linesOf(file).filter(({ hex }) => !known.has(hex));
  const text = missing.map(({ name, hex }) => `${name} ${hex}\n`).join('');
  if (text !== '') await appendFile(`${directory}${file.name}.txt`, text);
  return missing.length;
}
