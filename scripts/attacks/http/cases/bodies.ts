import { gzipSync } from 'node:zlib';

import type { HttpAttack, HttpTarget } from '../http-attack.ts';
import { arrayOf, chatAbout, chatOf, chatPath, completionPath, deploymentPath, mebibyte, nested } from '../json.ts';
import { expectStatus, post } from '../requests.ts';

/** Makes an attack with a body that is refused for its shape or its values. */
function refused(name: string, bodyFor: (target: HttpTarget) => string | Uint8Array, path = chatPath): HttpAttack {
  return { name, run: async (target) => await expectStatus(post(target, path, bodyFor(target)), 400) };
}

/** Makes such an attack with a body so long that it has to wait for others of its kind. */
function refusedLong(...attack: Parameters<typeof refused>): HttpAttack {
  return { ...refused(...attack), isHeavy: true };
}

const emptyParts = `{"role":"user","content":${arrayOf('{}', 1024)}}`;

function entries(count: number, entry: (index: number) => string): string {
  return `{${Array.from({ length: count }, (_, index) => entry(index)).join(',')}}`;
}

/** Bodies whose shape costs more than their bytes. */
export const bodies: readonly HttpAttack[] = [
  refusedLong('4,000 messages of 1,024 empty parts', (target) =>
    chatOf(target, { messages: arrayOf(emptyParts, 4000) }),
  ),
  refused('60 messages of 1,024 empty parts', (target) => chatOf(target, { messages: arrayOf(emptyParts, 60) })),
  refusedLong('8 MiB of parts that are 0', (target) => chatAbout(target, arrayOf('0', 4 * mebibyte))),
  refused('a million parts that are 0', (target) => chatAbout(target, arrayOf('0', 1_000_000))),
  refusedLong('five million empty arrays as tools', (target) => chatOf(target, { tools: arrayOf('[]', 5_300_000) })),
  refused('60,000 tools', (target) => chatOf(target, { tools: arrayOf('{}', 60_000) })),
  refusedLong(
    'five million empty arrays as a prompt',
    ({ model }) => `{"model":"${model}","prompt":${arrayOf('[]', 5_300_000)}}`,
    completionPath,
  ),
  refusedLong(
    'a million token ids that are none',
    ({ model }) => `{"model":"${model}","prompt":${arrayOf('-1', 1_000_000)}}`,
    completionPath,
  ),
  refusedLong('a million biases', (target) =>
    chatOf(target, { logit_bias: entries(1_000_000, (token) => `"${token}":1`) }),
  ),
  refused('JSON a hundred thousand deep', () => nested('[', ']', 100_000)),
  refused('tools a hundred thousand deep', (target) => chatOf(target, { tools: nested('[', ']', 100_000) })),
  refused('a schema fifty thousand deep', (target) =>
    chatOf(target, {
      response_format: `{"type":"json_schema","json_schema":{"name":"a","schema":${nested('{"a":', '}', 50_000)}}}`,
    }),
  ),
  refusedLong('a schema of 15 MiB', (target) =>
    chatOf(target, {
      response_format: `{"type":"json_schema","json_schema":{"name":"a","schema":{"enum":["${'x'.repeat(15 * mebibyte)}"]}}}`,
    }),
  ),
  refused('a schema of 60,000 objects', (target) =>
    chatOf(target, {
      response_format: `{"type":"json_schema","json_schema":{"name":"a","schema":{"enum":${arrayOf('{"a":"xxxxx"}', 60_000)}}}}`,
    }),
  ),
  refusedLong('one key three million times', () => `{${'"a":1,'.repeat(2_500_000)}"a":1}`),
  refusedLong('a key of 10 MiB', () => `{"${'k'.repeat(10 * mebibyte)}":1}`),
  refusedLong('four thousand unknown keys of four kilobytes', () =>
    entries(3500, (index) => `"${index}${'k'.repeat(4000)}":1`),
  ),
  refused('__proto__ at every depth', (target) =>
    chatOf(target, {
      ['__proto__']: '{"stream":true}',
      constructor: '{"prototype":{}}',
    }),
  ),
  refusedLong('a number of 10 MiB', (target) => chatOf(target, { max_tokens: '9'.repeat(10 * mebibyte) })),
  refused('numbers beyond a double', (target) =>
    chatOf(target, { temperature: '1e999', seed: '-1e999', top_p: '1e-999' }),
  ),
  refusedLong('a stop list of a million texts', (target) => chatOf(target, { stop: arrayOf('"x"', 1_000_000) })),
  refused('a model name of a megabyte', (target) => chatOf(target, { model: `"${'m'.repeat(mebibyte)}"` })),
  refusedLong(
    'a million layers',
    ({ model }) => `{"model":"${model}","layers":${arrayOf('1', 1_000_000)}}`,
    deploymentPath,
  ),
  refusedLong('sixteen mebibytes of blanks', () => ' '.repeat(16 * mebibyte - 1)),
  refusedLong('sixteen mebibytes of backslashes', () => `"${'\\'.repeat(16 * mebibyte - 10)}`),
  refused('a body that is not UTF-8', () => Buffer.concat([Buffer.from('{"model":"'), Buffer.alloc(mebibyte, 0xff)])),
  refused('half a body', (target) => chatOf(target).slice(0, -1)),
  {
    name: 'a body that is compressed',
    run: async (target) => {
      const body = gzipSync(' '.repeat(100 * mebibyte));
      await expectStatus(post(target, chatPath, body, { 'content-encoding': 'gzip' }), 415);
    },
  },
  {
    name: 'lone surrogates',
    run: async (target) =>
      await expectStatus(post(target, chatPath, chatAbout(target, `"${'\\ud800'.repeat(20)}"`)), 200),
  },
];
