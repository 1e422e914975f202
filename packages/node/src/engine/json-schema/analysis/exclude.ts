import { emptyFacts, type SchemaFacts } from '../facts.ts';
import { below, rootPath, type Located } from '../refusal.ts';
import type { TypeName } from '../type-names.ts';
import { greatest, intervalOf, isEmptyInterval, least } from './bounds.ts';
import { isBeforeConst, judgeFacts } from './judge.ts';
import { everyType, sharedTypes } from './types.ts';
import type { Workspace } from './workspace.ts';

const deepestProof = 6;

/** A grammar's additions to schemas that say less: the types that it chooses, and whether objects have other properties. */
export interface Generated {
  readonly types: ReadonlySet<TypeName>;
  /** All names that objects can have; undefined where others are possible. */
  readonly names: readonly string[] | undefined;
}

/** Tells whether no value that is generated for these schemas follows the other one. False when that can't be shown. */
export function excludes(
  workspace: Workspace,
  schemas: readonly SchemaFacts[],
  generated: Generated,
  other: Located,
): boolean {
  const empty = emptyFacts(rootPath);
  const shape: SchemaFacts = {
    ...empty,
    types: generated.types,
    object:
      generated.names === undefined
        ? empty.object
        : {
            ...empty.object,
            properties: new Map(generated.names.map((name) => [name, { schema: true, path: rootPath }])),
            additional: { schema: false, path: rootPath },
          },
  };
  return isSurelyEmpty(workspace, [shape, ...schemas], [other], 0);
}

/**
 * Tells whether no value follows all of the schemas. A keyword that it does not know makes it answer false, never
 * wrongly true.
 */
function isSurelyEmpty(
  workspace: Workspace,
  known: readonly SchemaFacts[],
  more: readonly Located[],
  depth: number,
): boolean {
  if (depth > deepestProof) return false;
  const gathered = gather(workspace, known, more);
  if (gathered === undefined) return true;
  const { facts, groups } = gathered;
  workspace.spend(facts.length);
  const lists = facts.flatMap(({ valueLists }) => valueLists.filter(({ keyword }) => counts(workspace, keyword)));
  const [first, ...others] = lists;
  if (first !== undefined) {
    const shortest = others.reduce((best, list) => (list.values.length < best.values.length ? list : best), first);
    const isOut = (value: unknown): boolean => facts.some((each) => judgeFacts(workspace, each, value) === 'invalid');
    if (shortest.values.every(isOut)) return true;
  }
  if ([...sharedTypes(facts)].every((type) => isEmptyFor(workspace, facts, type, depth))) return true;
  return groups.some((group) => group.every((located) => isSurelyEmpty(workspace, facts, [located], depth + 1)));
}

function counts(workspace: Workspace, keyword: 'enum' | 'const'): boolean {
  return keyword === 'enum' || !isBeforeConst(workspace);
}

/** Gathers all schemas that hold together, and the groups of which one holds; undefined where one of them is `false`. */
function gather(
  workspace: Workspace,
  known: readonly SchemaFacts[],
  more: readonly Located[],
): { facts: readonly SchemaFacts[]; groups: readonly (readonly Located[])[] } | undefined {
  const seen = new Set(known);
  const groups: (readonly Located[])[] = [];
  const queue = [...more];
  for (let located = queue.pop(); located !== undefined; located = queue.pop()) {
    workspace.spend(1);
    if (located.schema === false) return undefined;
    if (located.schema === true) continue;
    const facts = workspace.factsOf(located.schema, located.path);
    if (facts.reference !== undefined) {
      const target = workspace.resolve(facts.reference, below(facts.path, '$ref'));
      if (
        target.schema === true ||
        (target.schema !== false && seen.has(workspace.factsOf(target.schema, target.path)))
      ) {
        continue;
      }
      // Drafts up to 7 pass over what stands beside a reference.
      queue.push(target);
      if (workspace.document.draft === undefined || workspace.document.draft <= 7) continue;
    }
    if (seen.has(facts)) continue;
    seen.add(facts);
    queue.push(...facts.allOf);
    for (const group of [facts.anyOf, facts.oneOf]) if (group !== undefined) groups.push(group);
  }
  return { facts: [...seen], groups };
}

function isEmptyFor(workspace: Workspace, facts: readonly SchemaFacts[], type: TypeName, depth: number): boolean {
  switch (type) {
    case 'string': {
      const shortest = greatest(facts.map(({ string }) => string.minLength));
      const longest = least(facts.map(({ string }) => string.maxLength));
      return shortest !== undefined && longest !== undefined && shortest > longest;
    }
    case 'number':
    case 'integer':
      return isEmptyInterval(intervalOf(facts.map(({ number }) => number)));
    case 'array':
      return isEmptyArray(workspace, facts, depth);
    case 'object':
      return isEmptyObject(workspace, facts, depth);
    default:
      return false;
  }
}

function isEmptyArray(workspace: Workspace, facts: readonly SchemaFacts[], depth: number): boolean {
  const fewest = greatest(facts.map(({ array }) => array.minItems)) ?? 0;
  const most = least(facts.map(({ array }) => array.maxItems)) ?? Infinity;
  if (fewest > most) return true;
  if (fewest === 0) return false;
  const first = facts.flatMap(({ array }) => array.prefix[0] ?? array.rest ?? []);
  return isSurelyEmpty(workspace, [], first, depth + 1);
}

function isEmptyObject(workspace: Workspace, facts: readonly SchemaFacts[], depth: number): boolean {
  const required = new Set(facts.flatMap(({ object }) => object.required));
  const most = least(facts.map(({ object }) => object.maxProperties)) ?? Infinity;
  if (required.size > most) return true;
  workspace.spend(required.size * facts.length);
  return [...required].some((name) => {
    const schemas = facts.flatMap(({ object, unsupported }) => {
      const named = object.properties?.get(name);
      // A name that a pattern covers is no additional one.
      const isCovered = unsupported.some(({ keyword }) => keyword === 'patternProperties');
      return named ?? (isCovered ? [] : (object.additional ?? []));
    });
    return schemas.length > 0 && isSurelyEmpty(workspace, [], schemas, depth + 1);
  });
}

/**
 * Returns the types that a schema names, if it says nothing else, so that to fail it is to have another type; undefined
 * when it says more.
 */
export function plainTypes(workspace: Workspace, { schema, path }: Located): ReadonlySet<TypeName> | undefined {
  if (typeof schema === 'boolean') return undefined;
  const keywords = Object.keys(schema).filter((keyword) => keyword !== 'description' && keyword !== 'title');
  const { types } = workspace.factsOf(schema, path);
  if (types === undefined || keywords.length !== 1) return undefined;
  const isIntegerAlone = types.has('integer') && !types.has('number');
  return isIntegerAlone ? undefined : types;
}

/** Returns all types except these. */
export function otherTypes(types: ReadonlySet<TypeName>): ReadonlySet<TypeName> {
  return new Set([...everyType].filter((type) => !types.has(type)));
}
