export { asSchemaError, grammarOf, withJsonSchema } from './with-json-schema.ts';
