import type { SchemaFacts } from '../facts.ts';
import { typeNames, type TypeName } from '../type-names.ts';

/** Every type but `integer`, which is a number. */
export const everyType: ReadonlySet<TypeName> = new Set(typeNames.filter((name) => name !== 'integer'));

/** Returns the types of values that follow all of the schemas. */
export function sharedTypes(schemas: readonly Pick<SchemaFacts, 'types'>[]): ReadonlySet<TypeName> {
  return schemas.reduce<ReadonlySet<TypeName>>(
    (shared, { types }) => (types === undefined ? shared : intersection(shared, types)),
    everyType,
  );
}

function intersection(left: ReadonlySet<TypeName>, right: ReadonlySet<TypeName>): ReadonlySet<TypeName> {
  const shared = new Set<TypeName>();
  for (const type of left) {
    if (right.has(type) || (type === 'integer' && right.has('number'))) shared.add(type);
    else if (type === 'number' && right.has('integer')) shared.add('integer');
  }
  if (shared.has('number')) shared.delete('integer');
  return shared;
}
