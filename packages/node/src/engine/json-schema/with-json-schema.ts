import { isSkeinError, limits, type Sampling } from '@skein/protocol';

import { convert } from './converter.ts';
import { printGrammar } from './grammar/print.ts';
import { sizeOf } from './grammar/size.ts';
import { refusal, rootPath, tooLarge } from './refusal.ts';
import { SchemaDocument } from './schema-document.ts';

/**
 * Most rules of a grammar, followed by its characters and its elements when repetitions are written out. Of 2,395
 * schemas that people use the largest has 753, 69,207 and 22,039.
 */
const mostRules = 1024;
const mostElements = 65_536;

/**
 * Adds the grammar of a JSON schema to sampling settings: every text that it derives is JSON that follows the schema.
 *
 * @param jsonSchema the schema as JSON
 * @throws SkeinError `invalid-request`, with the place of the keyword at fault, for a schema that can't be followed,
 * and for settings that have a grammar already
 */
export function withJsonSchema(sampling: Sampling, jsonSchema: string): Sampling {
  assertNoGrammar(sampling);
  return { ...sampling, grammar: grammarOf(jsonSchema) };
}

/**
 * Checks that sampling settings have no grammar of their own.
 *
 * @throws SkeinError `invalid-request` when they have one
 */
export function assertNoGrammar({ grammar }: Sampling): void {
  if (grammar !== undefined) throw refusal(rootPath, 'it can not be asked for together with a grammar');
}

/**
 * Returns the grammar of a JSON schema in llama.cpp's GBNF.
 *
 * @throws SkeinError `invalid-request`, with the place of the keyword at fault, for a schema that can't be followed
 */
export function grammarOf(jsonSchema: string): string {
  const grammar = convert(new SchemaDocument(jsonSchema));
  const printed = printGrammar(grammar);
  const isTooLarge =
    grammar.size > mostRules || printed.length > limits.maxGrammarCharacters || sizeOf(grammar) > mostElements;
  if (isTooLarge) throw tooLarge();
  return printed;
}

/**
 * Turns an error about the grammar of a schema into one about the schema: its grammar is too large. Returns others
 * unchanged.
 */
export function asSchemaError(error: unknown): unknown {
  if (!isSkeinError(error) || error.code !== 'invalid-request' || error.details['param'] !== 'grammar') return error;
  return tooLarge(error);
}
