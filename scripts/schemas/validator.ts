import { Ajv, type Options } from 'ajv';
import { Ajv2019 } from 'ajv/dist/2019.js';
import { Ajv2020 } from 'ajv/dist/2020.js';
import draft6 from 'ajv/dist/refs/json-schema-draft-06.json' with { type: 'json' };
import AjvDraft04 from 'ajv-draft-04';
import addFormats from 'ajv-formats';

/** A check whether a value follows a schema. */
export type Validate = (value: unknown) => boolean;

const options: Options = { strict: false, logger: false, validateSchema: false };

/**
 * Returns a validator for a schema, by the draft that it names, or else of the newest draft that knows its keywords.
 * Undefined when Ajv can't take the schema.
 */
export function validatorOf(schema: Readonly<Record<string, unknown>>): Validate | undefined {
  for (const make of validatorsFor(schema)) {
    try {
      const ajv = make();
      addFormats.default(ajv);
      const validate = ajv.compile(schema);
      return (value) => validate(value);
    } catch {
      // Of another draft, or with references that lead nowhere.
    }
  }
  return undefined;
}

function validatorsFor(schema: Readonly<Record<string, unknown>>): readonly (() => Ajv)[] {
  const named = typeof schema['$schema'] === 'string' ? schema['$schema'] : '';
  const draft4 = (): Ajv => new AjvDraft04.default(options);
  const draft7 = (): Ajv => new Ajv(options);
  if (/draft-0[34]/.test(named)) return [draft4];
  if (named.includes('draft-06')) return [() => new Ajv(options).addMetaSchema(draft6)];
  if (named.includes('draft-07')) return [draft7];
  if (named.includes('2019-09')) return [() => new Ajv2019(options)];
  // Lists of `items` are of the drafts before 2020-12.
  const newest = /"items":\[/.test(JSON.stringify(schema)) ? [] : [(): Ajv => new Ajv2020(options)];
  return [...newest, draft7, draft4];
}
