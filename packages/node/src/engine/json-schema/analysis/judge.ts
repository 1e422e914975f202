import type { SchemaFacts } from '../facts.ts';
import { below, type Located } from '../refusal.ts';
import { isSchemaObject } from '../schema-document.ts';
import { hasType } from '../type-names.ts';
import { intervalOf, isInside } from './bounds.ts';
import type { Workspace } from './workspace.ts';

/** The verdict on a value under a schema; `unknown` where a keyword is not followed. */
export type Judgement = 'valid' | 'invalid' | 'unknown';

const deepestJudgement = 32;

/**
 * Judges whether a value of the schema's own (of an `enum` or a `const`) follows a schema: for sure, or not at all.
 *
 * @throws SkeinError `invalid-request` for a schema that takes too much work
 */
export function judge(workspace: Workspace, { schema, path }: Located, value: unknown, depth = 0): Judgement {
  if (typeof schema === 'boolean') return schema ? 'valid' : 'invalid';
  if (depth > deepestJudgement) return 'unknown';
  return judgeFacts(workspace, workspace.factsOf(schema, path), value, depth);
}

/** Judges a value by facts, as {@link judge} does by a schema. */
export function judgeFacts(workspace: Workspace, facts: SchemaFacts, value: unknown, depth = 0): Judgement {
  workspace.spend(1);
  const own = all(ownJudgements(workspace, facts, value, depth));
  if (facts.reference === undefined) return own;
  const target = workspace.resolve(facts.reference, below(facts.path, '$ref'));
  const referred = judge(workspace, target, value, depth + 1);
  // Drafts up to 7 pass over what stands beside a reference.
  const { draft } = workspace.document;
  const beside = own === 'invalid' && (draft === undefined || draft <= 7) ? 'unknown' : own;
  return all([referred, beside]);
}

function* ownJudgements(
  workspace: Workspace,
  facts: SchemaFacts,
  value: unknown,
  depth: number,
): Generator<Judgement, void> {
  const under = (located: Located): Judgement => judge(workspace, located, value, depth + 1);
  if (facts.types !== undefined && !hasType(value, facts.types)) yield 'invalid';
  for (const { keyword, values } of facts.valueLists) {
    workspace.spend(values.length);
    if (values.some((listed) => isSame(listed, value))) continue;
    yield keyword === 'const' && isBeforeConst(workspace) ? 'unknown' : 'invalid';
  }
  for (const { about } of facts.unsupported) if (about === 'any' || hasType(value, new Set([about]))) yield 'unknown';
  if (typeof value === 'string') yield* stringJudgements(facts, value);
  if (typeof value === 'number') yield* numberJudgements(facts, value);
  if (Array.isArray(value)) yield* arrayJudgements(workspace, facts, value, depth);
  else if (isSchemaObject(value)) yield* objectJudgements(workspace, facts, value, depth);
  yield* facts.allOf.map(under);
  if (facts.anyOf !== undefined) yield any(facts.anyOf.map(under));
  if (facts.oneOf !== undefined) yield exactlyOne(facts.oneOf.map(under));
  if (facts.not !== undefined) yield opposite(under(facts.not));
}

function* stringJudgements({ string, format }: SchemaFacts, value: string): Generator<Judgement, void> {
  const length = Array.from(value).length;
  if (length < (string.minLength ?? 0) || length > (string.maxLength ?? Infinity)) yield 'invalid';
  if (format !== undefined) yield 'unknown';
}

function* numberJudgements({ number, format }: SchemaFacts, value: number): Generator<Judgement, void> {
  if (!isInside(value, intervalOf([number]))) yield 'invalid';
  if (number.multipleOf !== undefined) yield 'unknown';
  if (format !== undefined) yield 'unknown';
}

function* arrayJudgements(
  workspace: Workspace,
  { array }: SchemaFacts,
  value: readonly unknown[],
  depth: number,
): Generator<Judgement, void> {
  if (value.length < (array.minItems ?? 0) || value.length > (array.maxItems ?? Infinity)) yield 'invalid';
  if (array.uniqueItems && value.length > 1) yield 'unknown';
  for (const [index, item] of value.entries()) {
    const schema = array.prefix[index] ?? array.rest;
    if (schema !== undefined) yield judge(workspace, schema, item, depth + 1);
  }
}

function* objectJudgements(
  workspace: Workspace,
  { object, dependencies }: SchemaFacts,
  value: Readonly<Record<string, unknown>>,
  depth: number,
): Generator<Judgement, void> {
  const names = Object.keys(value);
  if (names.length < (object.minProperties ?? 0) || names.length > (object.maxProperties ?? Infinity)) yield 'invalid';
  if (object.required.some((name) => !Object.hasOwn(value, name))) yield 'invalid';
  for (const name of names) {
    const schema = object.properties?.get(name) ?? object.additional;
    if (schema !== undefined) yield judge(workspace, schema, value[name], depth + 1);
  }
  for (const { property, schema } of dependencies) {
    if (!Object.hasOwn(value, property)) continue;
    const judgement = judge(workspace, schema, value, depth + 1);
    yield judgement === 'invalid' ? 'unknown' : judgement;
  }
}

/** Tells whether a document's draft is older than 6, with which `const` came. */
export function isBeforeConst({ document }: Workspace): boolean {
  return document.draft !== undefined && document.draft < 6;
}

/** Tells whether two values are equal in JSON Schema's sense, in which the order of properties means nothing. */
export function isSame(left: unknown, right: unknown): boolean {
  if (left === right) return true;
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return false;
  if (Array.isArray(left) !== Array.isArray(right)) return false;
  const [leftEntries, rightKeys] = [Object.entries(left), Object.keys(right)];
  if (leftEntries.length !== rightKeys.length) return false;
  return leftEntries.every(
    ([key, value]) => Object.hasOwn(right, key) && isSame(value, (right as Readonly<Record<string, unknown>>)[key]),
  );
}

function all(judgements: Iterable<Judgement>): Judgement {
  let result: Judgement = 'valid';
  for (const judgement of judgements) {
    if (judgement === 'invalid') return 'invalid';
    if (judgement === 'unknown') result = 'unknown';
  }
  return result;
}

function any(judgements: readonly Judgement[]): Judgement {
  if (judgements.includes('valid')) return 'valid';
  return judgements.includes('unknown') ? 'unknown' : 'invalid';
}

function exactlyOne(judgements: readonly Judgement[]): Judgement {
  const valid = judgements.filter((judgement) => judgement === 'valid').length;
  if (valid > 1) return 'invalid';
  if (judgements.includes('unknown')) return 'unknown';
  return valid === 1 ? 'valid' : 'invalid';
}

function opposite(judgement: Judgement): Judgement {
  if (judgement === 'unknown') return 'unknown';
  return judgement === 'valid' ? 'invalid' : 'valid';
}
