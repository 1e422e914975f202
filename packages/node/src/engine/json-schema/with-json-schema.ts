import { isSkeinError, limits, type Sampling } from '@skein/protocol';

import { convert } from './converter.ts';
import { printGrammar } from './grammar/print.ts';
import { sizeOf } from './grammar/size.ts';
import { refusal, rootPath, tooLarge } from './refusal.ts';
import { SchemaDocument } from './schema-document.ts';

/**
 * Rules of a grammar, its characters, and its elements when repetitions are written out. Of 2,395 schemas that people use the
 * largest has 753, 69,207 and 22,039.
 */
const mostRules = 1024;
const mostElements = 65_536;

/**
 * Sampling with the grammar of a JSON schema: every text that it derives is JSON that follows the schema.
 *
 * @param jsonSchema the schema as JSON
 * @throws SkeinError `invalid-request` with the place of the keyword at fault, for a schema that can't be followed
 */
export function withJsonSchema(sampling: Sampling, jsonSchema: string): Sampling {
  assertNoGrammar(sampling);
  return { ...sampling, grammar: grammarOf(jsonSchema) };
}

/** Throws `invalid-request` for sampling that has a grammar already. */
export function assertNoGrammar({ grammar }: Sampling): void {
  if (grammar !== undefined) throw refusal(rootPath, 'it can not be asked for together with a grammar');
}

/** The grammar of a JSON schema in llama.cpp's GBNF. Throws as `withJsonSchema` does. */
export function grammarOf(jsonSchema: string): string {
  const grammar = convert(new SchemaDocument(jsonSchema));
  const printed = printGrammar(grammar);
  const isTooLarge =
    grammar.size > mostRules || printed.length > limits.maxGrammarCharacters || sizeOf(grammar) > mostElements;
  if (isTooLarge) throw tooLarge();
  return printed;
}

/** Turns what is said of the grammar that was made of a schema into what that means for the schema. */
export function asSchemaError(error: unknown): unknown {
  if (!isSkeinError(error) || error.code !== 'invalid-request' || error.details['param'] !== 'grammar') return error;
  return tooLarge(error);
}
