/** JSON Schema's names of types. An integer is a number, too. */
export const typeNames = ['null', 'boolean', 'object', 'array', 'number', 'string', 'integer'] as const;
export type TypeName = (typeof typeNames)[number];

/** Tells whether a value has one of these types. */
export function hasType(value: unknown, types: ReadonlySet<TypeName>): boolean {
  if (value === null) return types.has('null');
  if (Array.isArray(value)) return types.has('array');
  if (typeof value === 'number') return types.has('number') || (types.has('integer') && Number.isInteger(value));
  const type = typeof value;
  return (type === 'string' || type === 'boolean' || type === 'object') && types.has(type);
}
