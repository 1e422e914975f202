export { asSchemaError, assertNoGrammar, grammarOf, withJsonSchema } from './with-json-schema.ts';
