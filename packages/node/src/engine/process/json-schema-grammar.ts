import { SkeinError, type Sampling } from '@skein/protocol';

/** Deeper schemas are refused: the converter goes down recursively. */
const deepestNesting = 64;

/** Newlines behind the document, by which node-llama-cpp stops. A grammar that ends lets the model end the text. */
const stopMark = / "\\n\\n\\n\\n" \[\\n\]\*$/m;
const types: ReadonlySet<unknown> = new Set(['string', 'number', 'integer', 'boolean', 'null', 'object', 'array']);
/** What the converter would pass over in silence. */
const unsupported =
  'allOf not if then else pattern patternProperties propertyNames unevaluatedProperties dependentRequired dependentSchemas contains uniqueItems multipleOf minimum maximum exclusiveMinimum exclusiveMaximum'.split(
    ' ',
  );

type Converter = (schema: unknown, options?: { readonly allowNewLines?: boolean }) => string;

/**
 * Sampling with a JSON schema made into a grammar, through node-llama-cpp's converter. That is no part of the package's
 * public entry, which would load its native side: it is taken by its path, from a version that is pinned exactly, and only
 * when somebody asks for it.
 *
 * @param jsonSchema the schema as JSON
 * @throws SkeinError `invalid-request` for what is no schema, is nested too deep or can't be expressed as a grammar
 */
export async function withJsonSchema(sampling: Sampling, jsonSchema: string): Promise<Sampling> {
  if (sampling.grammar !== undefined) throw invalid('it can not be asked for together with a grammar');
  const schema = supported(parse(jsonSchema));
  const convert = await loadConverter();
  try {
    const grammar = convert(schema, { allowNewLines: false });
    return { ...sampling, grammar: grammar.replace(stopMark, '') };
  } catch (error) {
    throw invalid(error instanceof Error ? error.message : 'it can not be made into a grammar', error);
  }
}

function parse(jsonSchema: string): Schema {
  let schema: unknown;
  try {
    schema = JSON.parse(jsonSchema);
  } catch (error) {
    throw invalid('it is not JSON', error);
  }
  if (!isSchema(schema)) throw invalid('it is not an object');
  if (depthOf(schema) > deepestNesting) throw invalid(`it is nested deeper than ${deepestNesting}`);
  return schema;
}

type Schema = Readonly<Record<string, unknown>>;

/** The schema in the converter's words, when it knows all of it. Goes down as deep as the schema was found to be. */
function supported(schema: Schema): Schema {
  const found = unsupported.find((keyword) => keyword in schema);
  if (found !== undefined) throw invalid(`\`${found}\` is not supported`);
  const named = [schema['type'] ?? []].flat();
  const unknown = named.find((type) => !types.has(type));
  if (unknown !== undefined) throw invalid(`there is no type ${JSON.stringify(unknown)}`);
  const { anyOf, ...rest } = schema;
  const each = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(each);
    return isSchema(value) ? supported(value) : value;
  };
  const ofEach = (value: unknown): unknown =>
    isSchema(value) ? Object.fromEntries(Object.entries(value).map(([name, child]) => [name, each(child)])) : value;
  const result: Record<string, unknown> = { ...rest };
  // Of alternatives a text follows one, whether or not it would fit others, too.
  if (anyOf !== undefined) result['oneOf'] = anyOf;
  for (const keyword of ['items', 'prefixItems', 'additionalProperties', 'oneOf']) {
    if (keyword in result) result[keyword] = each(result[keyword]);
  }
  for (const keyword of ['properties', '$defs']) {
    if (keyword in result) result[keyword] = ofEach(result[keyword]);
  }
  return result;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Without recursion, which hostile depth would overflow. */
function depthOf(value: object): number {
  let level: object[] = [value];
  let depth = 0;
  while (level.length > 0 && depth <= deepestNesting) {
    depth += 1;
    level = level.flatMap((node) =>
      Object.values(node).filter((child): child is object => typeof child === 'object' && child !== null),
    );
  }
  return depth;
}

async function loadConverter(): Promise<Converter> {
  const entry = import.meta.resolve('node-llama-cpp');
  const path = new URL('utils/gbnfJson/getGbnfGrammarForGbnfJsonSchema.js', entry).href;
  const module = (await import(path)) as { getGbnfGrammarForGbnfJsonSchema: Converter };
  return module.getGbnfGrammarForGbnfJsonSchema;
}

function invalid(reason: string, cause?: unknown): SkeinError {
  return new SkeinError('invalid-request', `the JSON schema can't be followed: ${reason.slice(0, 300)}`, {
    cause,
    details: { param: 'response_format' },
  });
}
