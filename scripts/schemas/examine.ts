import { isSkeinError } from '@skein/protocol';

import { convert } from '../../packages/node/src/engine/json-schema/converter.ts';
import type { Grammar } from '../../packages/node/src/engine/json-schema/grammar/node.ts';
import { grammarOf } from '../../packages/node/src/engine/json-schema/index.ts';
import { SchemaDocument } from '../../packages/node/src/engine/json-schema/schema-document.ts';
import { seededRandom } from '../fixtures/random.ts';
import type { Example } from './examples.ts';
import { Recognizer } from './recognizer.ts';
import type { Validate } from './validator.ts';
import { Walk } from './walk.ts';

/** The converter's treatment of a schema: its grammar, or the place of the keyword at fault. */
export type Treatment =
  | { readonly type: 'followed'; readonly grammar: Grammar; readonly gbnf: string }
  | { readonly type: 'refused'; readonly param: string; readonly message: string };

/**
 * Converts a schema and returns its grammar, or the refusal.
 *
 * @throws the converter's errors that are no refusals by name
 */
export function treat(schema: Example['schema']): Treatment {
  const json = JSON.stringify(schema);
  try {
    return { type: 'followed', gbnf: grammarOf(json), grammar: convert(new SchemaDocument(json)) };
  } catch (error) {
    if (!isSkeinError(error) || error.code !== 'invalid-request') throw error;
    const { param } = error.details;
    if (typeof param !== 'string') throw error;
    return { type: 'refused', param, message: error.message };
  }
}

/** Results for the values that came with a schema. Those that its validator contradicts are not counted. */
export interface InstanceCounts {
  validAccepted: number;
  validRefused: number;
  invalidRefused: number;
  /** Texts that the grammar derives although they are marked invalid. */
  readonly invalidAccepted: string[];
}

/** Checks with the grammar each value in three spellings: compact, with a space behind commas and colons, indented. */
export function examineInstances(grammar: Grammar, { instances }: Example, validate: Validate): InstanceCounts {
  const recognizer = new Recognizer(grammar);
  const counts: InstanceCounts = { validAccepted: 0, validRefused: 0, invalidRefused: 0, invalidAccepted: [] };
  for (const { valid, data } of instances) {
    if (validate(data) !== valid) continue;
    const accepted = spellings(data).filter((text) => recognizer.accepts(text));
    if (!valid) {
      if (accepted.length === 0) counts.invalidRefused += 1;
      counts.invalidAccepted.push(...accepted);
    } else if (accepted.length > 0) counts.validAccepted += 1;
    else counts.validRefused += 1;
  }
  return counts;
}

function spellings(data: unknown): string[] {
  const indented = JSON.stringify(data, undefined, 2);
  return [JSON.stringify(data), spaced(data), indented];
}

function spaced(data: unknown): string {
  if (Array.isArray(data)) return `[${data.map(spaced).join(', ')}]`;
  if (typeof data !== 'object' || data === null) return JSON.stringify(data);
  const members = Object.entries(data).map(([key, value]) => `${JSON.stringify(key)}: ${spaced(value)}`);
  return `{${members.join(', ')}}`;
}

/** Draws texts that the grammar derives and returns those that don't follow the schema. */
export function invalidWalks(
  grammar: Grammar,
  validate: Validate,
  { walks, seed }: { readonly walks: number; readonly seed: number },
): string[] {
  const walk = new Walk(grammar, seededRandom(seed));
  const invalid: string[] = [];
  for (let count = 0; count < walks; count += 1) {
    const text = walk.draw();
    if (!follows(text, validate)) invalid.push(text);
  }
  return invalid;
}

/** Tells whether a text is JSON that follows the schema. */
export function follows(text: string, validate: Validate): boolean {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return false;
  }
  return validate(value);
}
