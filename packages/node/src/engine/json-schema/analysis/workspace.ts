import { readFacts, type SchemaFacts } from '../facts.ts';
import { refusal, rootPath, type Located, type SchemaObject, type SchemaPath } from '../refusal.ts';
import type { SchemaDocument } from '../schema-document.ts';
import { Circles } from './circles.ts';

/** Most steps of work for one schema; a step is a lookup or two. Of the schemas that people use, the greatest took 8,489. */
const mostSteps = 40_000;

/** A document's facts, each read once, and the work that is left for it. */
export class Workspace {
  readonly document: SchemaDocument;
  readonly circles: Circles = new Circles(this);
  readonly #facts = new Map<SchemaObject, SchemaFacts>();
  readonly #ids = new Map<SchemaFacts, number>();
  #steps = 0;

  constructor(document: SchemaDocument) {
    this.document = document;
  }

  factsOf(schema: SchemaObject, path: SchemaPath): SchemaFacts {
    const known = this.#facts.get(schema);
    if (known !== undefined) return known;
    const facts = readFacts(schema, path, this.document.draft);
    this.#facts.set(schema, facts);
    this.spend(1 + (facts.object.properties?.size ?? 0));
    return facts;
  }

  /** Returns a number that stands for these facts alone. */
  idOf(facts: SchemaFacts): number {
    const known = this.#ids.get(facts);
    if (known !== undefined) return known;
    this.#ids.set(facts, this.#ids.size);
    return this.#ids.size - 1;
  }

  resolve(reference: string, path: SchemaPath): Located {
    this.spend(1);
    return this.document.resolve(reference, path);
  }

  /**
   * Spends steps of work.
   *
   * @throws SkeinError `invalid-request` when the schema has taken too much work
   */
  spend(steps: number): void {
    this.#steps += steps;
    if (this.#steps > mostSteps) {
      throw refusal(rootPath, 'its parts combine in too many ways; make it smaller');
    }
  }
}
