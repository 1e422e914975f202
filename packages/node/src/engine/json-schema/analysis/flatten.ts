import type { SkeinError } from '@skein/protocol';

import type { SchemaFacts } from '../facts.ts';
import { below, refusal, type Located, type SchemaPath } from '../refusal.ts';
import type { Workspace } from './workspace.ts';

/** A schema that a value has to fail, and the keyword that demands it. */
export interface Exclusion {
  readonly located: Located;
  readonly path: SchemaPath;
}

/** Alternatives of which a value has to follow one: `anyOf`, `oneOf`, or a property's dependencies. */
export interface Choice {
  readonly path: SchemaPath;
  readonly alternatives: readonly Alternative[];
}

export interface Alternative {
  readonly members: readonly Located[];
  readonly exclusions: readonly Exclusion[];
}

/** All demands on one value, with references and `allOf` resolved. */
export interface Flat {
  /** Schemas that limit the value by themselves. */
  readonly core: readonly SchemaFacts[];
  readonly exclusions: readonly Exclusion[];
  readonly choices: readonly Choice[];
  /** All schemas that were read on the way, including `core`. */
  readonly seen: ReadonlySet<SchemaFacts>;
  /** The reason, where no value is allowed. */
  readonly impossible: SkeinError | undefined;
}

const emptyFlat: Flat = { core: [], exclusions: [], choices: [], seen: new Set(), impossible: undefined };

/**
 * Adds an alternative to the demands that hold already.
 *
 * @throws SkeinError `invalid-request` for schemas that refer to themselves without a value between, or take too much
 * work
 */
export function flatten(workspace: Workspace, { members, exclusions }: Alternative, onto: Flat = emptyFlat): Flat {
  const core = [...onto.core];
  const excluded = [...onto.exclusions, ...exclusions];
  const choices = [...onto.choices];
  const seen = new Set(onto.seen);
  let { impossible } = onto;
  const queue = [...members].reverse();
  for (let member = queue.pop(); member !== undefined && impossible === undefined; member = queue.pop()) {
    const { schema, path } = member;
    workspace.spend(1);
    if (schema === false) impossible = refusal(path, 'no value is allowed here');
    if (typeof schema === 'boolean') continue;
    const facts = workspace.factsOf(schema, path);
    workspace.circles.assertNone(facts);
    if (seen.has(facts)) continue;
    seen.add(facts);
    if (saysSomething(facts)) core.push(facts);
    const parts = partsOf(workspace, facts);
    queue.push(...parts.members.toReversed());
    choices.push(...parts.choices);
    excluded.push(...parts.exclusions);
  }
  return { core, exclusions: excluded, choices, seen, impossible };
}

/** Tells whether a schema limits values by itself, not through the schemas that it names. */
function saysSomething({ types, valueLists, unsupported, describes }: SchemaFacts): boolean {
  return types !== undefined || valueLists.length > 0 || unsupported.length > 0 || describes.size > 0;
}

/** Returns the schemas that have to hold for the same value as this one. */
function partsOf(
  workspace: Workspace,
  facts: SchemaFacts,
): { members: readonly Located[]; choices: readonly Choice[]; exclusions: readonly Exclusion[] } {
  const members = [...facts.allOf];
  const choices: Choice[] = [];
  const exclusions: Exclusion[] = [];
  if (facts.reference !== undefined) {
    const via = below(facts.path, '$ref');
    members.unshift(workspace.resolve(facts.reference, via));
  }
  if (facts.anyOf !== undefined) {
    const alternatives = facts.anyOf.map((located) => ({ members: [located], exclusions: [] }));
    choices.push({ path: below(facts.path, 'anyOf'), alternatives });
  }
  if (facts.oneOf !== undefined) choices.push(oneOf(workspace, facts.oneOf, below(facts.path, 'oneOf')));
  if (facts.not !== undefined) {
    const path = below(facts.path, 'not');
    const { choice, exclusion } = failing(workspace, facts.not, path);
    if (choice !== undefined) choices.push(choice);
    if (exclusion !== undefined) exclusions.push(exclusion);
  }
  for (const { keyword, property, schema } of facts.dependencies) {
    const path = below(facts.path, keyword, property);
    const alternatives = [
      { members: [withoutProperty(property, path)], exclusions: [] },
      { members: [{ schema: { required: [property] }, path }, schema], exclusions: [] },
    ];
    choices.push({ path, alternatives });
  }
  return { members, choices, exclusions };
}

/** Makes the choice of exactly one of the schemas: each, with all the others failing. */
function oneOf(workspace: Workspace, schemas: readonly Located[], path: SchemaPath): Choice {
  workspace.spend(schemas.length ** 2);
  const alternatives = schemas.flatMap((schema, chosen): Alternative[] => {
    let combined: Alternative[] = [{ members: [schema], exclusions: [] }];
    for (const [index, other] of schemas.entries()) {
      if (index === chosen) continue;
      const { choice, exclusion } = failing(workspace, other, path);
      if (exclusion !== undefined) {
        combined = combined.map(({ members, exclusions }) => ({ members, exclusions: [...exclusions, exclusion] }));
      }
      if (choice !== undefined) {
        workspace.spend(combined.length * choice.alternatives.length);
        combined = combined.flatMap(({ members, exclusions }) =>
          choice.alternatives.map((more) => ({ members: [...members, ...more.members], exclusions })),
        );
      }
    }
    return combined;
  });
  return { path, alternatives };
}

/**
 * Returns the demands that make a schema fail. An object fails it without one of its required properties, which a
 * grammar can say.
 */
function failing(workspace: Workspace, located: Located, path: SchemaPath): { choice?: Choice; exclusion?: Exclusion } {
  if (located.schema === false) return {};
  if (located.schema === true) {
    return { choice: { path, alternatives: [{ members: [{ schema: false, path }], exclusions: [] }] } };
  }
  const facts = workspace.factsOf(located.schema, located.path);
  const { required } = facts.object;
  const keywords = Object.keys(located.schema).filter((keyword) => keyword !== 'required' && keyword !== 'description');
  if (keywords.length > 0 || required.length === 0) return { exclusion: { located, path } };
  const alternatives = required.map((property): Alternative => {
    const without = { ...withoutProperty(property, path).schema, type: 'object' };
    return { members: [{ schema: without, path }], exclusions: [] };
  });
  return { choice: { path, alternatives } };
}

function withoutProperty(
  property: string,
  path: SchemaPath,
): { schema: Readonly<Record<string, unknown>>; path: SchemaPath } {
  return { schema: { properties: Object.fromEntries([[property, false]]) }, path };
}
