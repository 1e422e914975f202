import type { TypeName } from './type-names.ts';

/** Keywords that describe a value to people or programs and never make one invalid. */
const annotations: ReadonlySet<string> = new Set(
  `$schema $id id $anchor $comment $defs definitions $vocabulary title description default examples example deprecated
  readOnly writeOnly readonly links base media contentMediaType contentSchema markdownDescription enumNames
  enumDescriptions markdownEnumDescriptions enumTitles deprecationMessage errorMessage patternErrorMessage
  defaultSnippets doNotSuggest suggestSortText allowComments allowTrailingCommas propertyOrder self tsType javaType
  discriminator xml externalDocs`.split(/\s+/),
);

/** Keywords from which facts are read. */
const followed: ReadonlySet<string> = new Set(
  `type enum const $ref allOf anyOf oneOf not minLength maxLength format minimum maximum exclusiveMinimum
  exclusiveMaximum multipleOf items prefixItems additionalItems minItems maxItems uniqueItems properties required
  additionalProperties minProperties maxProperties dependencies dependentRequired dependentSchemas
  nullable`.split(/\s+/),
);

/** Keywords that aren't followed, by the only type that they describe. */
const unsupported: ReadonlyMap<string, TypeName | 'any'> = new Map([
  ['if', 'any'],
  ['$dynamicRef', 'any'],
  ['$recursiveRef', 'any'],
  ['pattern', 'string'],
  ['contentEncoding', 'string'],
  ['contains', 'array'],
  ['unevaluatedItems', 'array'],
  ['patternProperties', 'object'],
  ['propertyNames', 'object'],
  ['unevaluatedProperties', 'object'],
]);

/** Keywords that mean nothing without another one, and are then passed over, with that other keyword. */
const companions: ReadonlyMap<string, string> = new Map([
  ['then', 'if'],
  ['else', 'if'],
  ['minContains', 'contains'],
  ['maxContains', 'contains'],
  ['$recursiveAnchor', '$recursiveRef'],
  ['$dynamicAnchor', '$dynamicRef'],
]);

export type KeywordKind =
  | { readonly kind: 'passed-over' }
  | { readonly kind: 'followed' }
  | { readonly kind: 'unsupported'; readonly about: TypeName | 'any' }
  | { readonly kind: 'unknown' };

/** Returns how a keyword is treated. An unknown one may be misspelt; one that begins with `x-` or `_` is meant. */
export function keywordKind(keyword: string): KeywordKind {
  if (followed.has(keyword)) return { kind: 'followed' };
  const about = unsupported.get(keyword);
  if (about !== undefined) return { kind: 'unsupported', about };
  const isPassedOver = annotations.has(keyword) || companions.has(keyword) || /^(x-|_)/.test(keyword);
  return isPassedOver ? { kind: 'passed-over' } : { kind: 'unknown' };
}

/** Tells whether the value of an unsupported keyword lets every value pass. */
export function isTrivial(keyword: string, value: unknown): boolean {
  const isEmpty = typeof value === 'object' && value !== null && Object.keys(value).length === 0;
  switch (keyword) {
    case 'patternProperties':
      return isEmpty;
    case 'propertyNames':
      return value === true || isEmpty || JSON.stringify(value) === '{"type":"string"}';
    case 'unevaluatedItems':
    case 'unevaluatedProperties':
      return value === true || isEmpty;
    default:
      return false;
  }
}
