import { access } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { expect, it } from 'vitest';

import { seededRandom } from '../fixtures/random.ts';
import { checkSchemas } from './check-schemas.ts';
import { examineInstances, invalidWalks, treat } from './examine.ts';
import { readExamples, type Example } from './examples.ts';
import { RandomSchemas } from './random-schema.ts';
import { validatorOf } from './validator.ts';

const archive = fileURLToPath(new URL('../../../shared/schemas/maskbench-part.tar.xz', import.meta.url));

const formats = [
  'date',
  'time',
  'date-time',
  'uuid',
  'ipv4',
  'ipv6',
  'duration',
  'hostname',
  'email',
  'uri',
  'url',
  'uri-reference',
  'iri',
  'byte',
  'json-pointer',
];
const person = {
  type: 'object',
  properties: { name: { type: 'string', maxLength: 9 }, age: { type: 'integer', minimum: 0, maximum: 130 } },
  required: ['name'],
  additionalProperties: { type: 'boolean' },
};
const schemas: readonly Example['schema'][] = [
  ...formats.map((format) => ({ type: 'string', format })),
  ...formats.map((format) => ({ type: 'string', format, maxLength: 150 })),
  ...['int32', 'int64', 'float', 'double'].map((format) => ({ type: 'number', format })),
  {},
  { type: 'object' },
  person,
  { type: 'array', items: person, minItems: 1, maxItems: 3 },
  { type: 'object', properties: { next: { $ref: '#' }, kind: { oneOf: [{ type: 'null' }, { enum: ['a', 'é"\\'] }] } } },
  ...[-2.5, -1, 0, 0.125, 3, 17, 1e6].flatMap((bound) => [
    { type: 'number', minimum: bound },
    { type: 'number', exclusiveMaximum: bound },
    { type: 'number', exclusiveMinimum: bound, maximum: bound + 11.5 },
    { type: 'integer', exclusiveMinimum: bound, maximum: bound + 130 },
  ]),
];

it('finds no text under a schema that does not follow it', async () => {
  const examples = schemas.map((schema, index): Example => ({ name: String(index), schema, instances: [] }));
  const result = await checkSchemas(examples, { count: examples.length, answers: 2, walks: 60, seed: 3 });
  expect(result.wrong).toEqual([]);
  expect(result).toMatchObject({
    refused: 0,
    withoutValidator: 0,
    answers: { sampledSchemas: examples.length, invalid: 0 },
  });
  expect(result.answers.finished).toBeGreaterThan(examples.length);
});

it('finds none under random schemas either', async () => {
  const random = new RandomSchemas(seededRandom(11));
  const examples = Array.from({ length: 600 }, (_, index): Example => ({
    name: String(index),
    schema: random.draw(),
    instances: [],
  }));
  const result = await checkSchemas(examples, { count: 20, answers: 2, walks: 5, seed: 7 });
  expect(result.wrong.map(({ schema, text }) => [examples[Number(schema)]?.schema, text])).toEqual([]);
  expect(result.followed).toBeGreaterThan(examples.length / 2);
});

it('would find one', () => {
  const treatment = treat(person);
  const stricter = validatorOf({ ...person, maxProperties: 1 });
  if (treatment.type === 'refused' || stricter === undefined) throw new Error('the schema is not followed');
  expect(invalidWalks(treatment.grammar, stricter, { walks: 50, seed: 1 })).not.toEqual([]);
  const example = { name: '', schema: person, instances: [{ valid: false, data: { name: 'Ada', age: 36 } }] };
  expect(examineInstances(treatment.grammar, example, stricter).invalidAccepted).toHaveLength(3);
});

it('holds for schemas that people use', async ({ skip }) => {
  const isThere = await access(archive).then(
    () => true,
    () => false,
  );
  if (!isThere) return skip(`there is no ${archive}`);
  const examples = (await readExamples(archive)).filter((_, index) => index % 24 === 0);
  const result = await checkSchemas(examples, { count: 15, answers: 3, walks: 3, seed: 5 });
  expect(result.wrong).toEqual([]);
  expect(result.followed).toBeGreaterThan(examples.length / 2);
  expect(result.instances.validAccepted).toBeGreaterThan(9 * result.instances.validRefused);
  expect(result.answers.sampledSchemas).toBe(15);
  return undefined;
});

it('refuses a directory that holds no schemas, rather than finding nothing wrong with it', async () => {
  await expect(readExamples(fileURLToPath(new URL('../bench', import.meta.url)))).rejects.toThrow('no .json files');
});
