import type { SchemaFacts } from '../facts.ts';
import { below, refusal, type Located, type SchemaPath } from '../refusal.ts';
import type { Workspace } from './workspace.ts';

/** Longest chain of references and applicators that lead from schema to schema for the same value. */
const longestChain = 64;

/**
 * A search for schemas that lead back to themselves for one and the same value, so that no validator would come to an
 * end.
 */
export class Circles {
  readonly #workspace: Workspace;
  readonly #free = new Set<SchemaFacts>();

  constructor(workspace: Workspace) {
    this.#workspace = workspace;
  }

  /**
   * Follows all schemas that a value has to be checked with.
   *
   * @throws SkeinError `invalid-request` for a schema that leads back to itself, or over too many others
   */
  assertNone(facts: SchemaFacts, above: ReadonlySet<SchemaFacts> = new Set()): void {
    if (this.#free.has(facts)) return;
    const ancestors = new Set(above).add(facts);
    this.#workspace.spend(ancestors.size);
    for (const { located, via } of this.#partsOf(facts)) {
      if (typeof located.schema === 'boolean') continue;
      const part = this.#workspace.factsOf(located.schema, located.path);
      if (ancestors.has(part)) throw refusal(via, 'it never ends: it leads back to itself with no value between');
      if (ancestors.size >= longestChain) {
        throw refusal(via, `it is more than ${longestChain} references away from the schema that it belongs to`);
      }
      this.assertNone(part, ancestors);
    }
    this.#free.add(facts);
  }

  /** Returns the schemas applied to the same value, and the keywords that lead to them. */
  #partsOf(facts: SchemaFacts): readonly { readonly located: Located; readonly via: SchemaPath }[] {
    const { allOf, anyOf = [], oneOf = [], not, dependencies, reference } = facts;
    const parts = [...allOf, ...anyOf, ...oneOf, ...(not === undefined ? [] : [not])];
    parts.push(...dependencies.map(({ schema }) => schema));
    const applied = parts.map((located) => ({ located, via: located.path }));
    if (reference === undefined) return applied;
    const via = below(facts.path, '$ref');
    return [{ located: this.#workspace.resolve(reference, via), via }, ...applied];
  }
}
