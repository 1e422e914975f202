import { excludes, otherTypes, plainTypes } from './analysis/exclude.ts';
import { flatten, type Alternative, type Exclusion, type Flat } from './analysis/flatten.ts';
import { judge, judgeFacts } from './analysis/judge.ts';
import { everyType, sharedTypes } from './analysis/types.ts';
import { Workspace } from './analysis/workspace.ts';
import { nameValue, withoutApplicators, type SchemaFacts } from './facts.ts';
import { withoutAliases } from './grammar/aliases.ts';
import { withoutEndlessParts } from './grammar/finite.ts';
import { choice, rule, text, type Grammar, type GrammarNode } from './grammar/node.ts';
import { below, refusal, rootPath, tooLarge, type Located, type SchemaPath } from './refusal.ts';
import type { SchemaDocument } from './schema-document.ts';
import type { TypeName } from './type-names.ts';
import { arrayNode } from './values/arrays.ts';
import { numberNode } from './values/numbers.ts';
import { objectNode, shapeOf, type NodeContext, type ObjectShape } from './values/objects.ts';
import { isSharedRule, sharedRule } from './values/shared-rules.ts';
import { stringNode } from './values/strings.ts';

/** Most rules while a grammar is made; some of them turn out to derive nothing. */
const mostRules = 1536;
/** Most combinations of alternatives for one value. */
const mostBranches = 256;

/**
 * Makes the grammar of a schema. Every text that it derives follows the schema; it does not derive all that do.
 *
 * @throws SkeinError `invalid-request`, with the place of the keyword, for a schema that can't be followed
 */
export function convert(document: SchemaDocument): Grammar {
  return new Converter(document).convert();
}

interface PendingRule {
  readonly name: string;
  readonly flat: Flat;
  readonly path: SchemaPath;
}

class Converter {
  readonly #workspace: Workspace;
  readonly #rules = new Map<string, GrammarNode>();
  /** Names of rules by the demands on their values. */
  readonly #names = new Map<string, string>();
  readonly #shareable = new Map<string, GrammarNode>();
  readonly #pending: PendingRule[] = [];
  readonly #context: NodeContext = {
    valueOf: (schemas) => this.#valueOf(schemas),
    define: (node) => this.#define(node),
    shared: (key, make) => this.#shared(key, make),
    spend: (steps) => this.#workspace.spend(steps),
  };
  #branches = 0;

  constructor(document: SchemaDocument) {
    this.#workspace = new Workspace(document);
  }

  convert(): Grammar {
    const { root } = this.#workspace.document;
    this.#rules.set('root', this.#valueOf([root]));
    // Values within values wait, so that the depth of a schema costs no stack.
    for (let next = this.#pending.shift(); next !== undefined; next = this.#pending.shift()) {
      this.#branches = 0;
      this.#rules.set(next.name, this.#compile(next.flat, next.path));
    }
    this.#addSharedRules();
    const endless = () => refusal(rootPath, 'no value that follows it ever ends');
    return withoutAliases(withoutEndlessParts(this.#rules, endless));
  }

  /** Returns a reference to the rule for values that follow all of these schemas. */
  #valueOf(schemas: readonly Located[]): GrammarNode {
    const flat = flatten(this.#workspace, { members: schemas, exclusions: [] });
    if (flat.impossible !== undefined) return { type: 'never', because: flat.impossible };
    if (flat.core.length === 0 && flat.choices.length === 0 && flat.exclusions.length === 0) return rule('value');
    const core = withoutImpliedTypes(flat.core);
    const key = this.#keyOf(core, flat.seen);
    const known = this.#names.get(key);
    if (known !== undefined) return rule(known);
    if (this.#names.size > mostRules) throw tooLarge();
    const name = `value-${this.#names.size + 1}`;
    this.#names.set(key, name);
    this.#pending.push({ name, flat: { ...flat, core }, path: schemas[0]?.path ?? rootPath });
    return rule(name);
  }

  /** Returns the demands as text. Schemas that say nothing themselves count by those that they lead to. */
  #keyOf(core: readonly SchemaFacts[], seen: ReadonlySet<SchemaFacts>): string {
    const counted = [...seen].filter(
      (facts) =>
        core.includes(facts) ||
        facts.anyOf !== undefined ||
        facts.oneOf !== undefined ||
        facts.not !== undefined ||
        facts.dependencies.length > 0,
    );
    return counted
      .map((facts) => this.#workspace.idOf(facts))
      .sort((left, right) => left - right)
      .join();
  }

  #define(node: GrammarNode): GrammarNode {
    const name = `part-${this.#rules.size + 1}`;
    if (this.#rules.size > mostRules) throw tooLarge();
    this.#rules.set(name, node);
    return rule(name);
  }

  #shared(key: string, make: () => GrammarNode): GrammarNode {
    const known = this.#shareable.get(key) ?? this.#define(make());
    this.#shareable.set(key, known);
    return known;
  }

  /** Makes one alternative for each way to make the choices. */
  #compile(flat: Flat, path: SchemaPath): GrammarNode {
    if (flat.impossible !== undefined) return { type: 'never', because: flat.impossible };
    const [first, ...choices] = flat.choices;
    // Applicators have become schemas and alternatives of their own. A proof that used one would prove it by itself.
    if (first === undefined) return this.#leaf(flat.core.map(withoutApplicators), flat.exclusions, path);
    const compile = (alternative: Alternative): GrammarNode => {
      this.#branches += 1;
      if (this.#branches > mostBranches) {
        throw refusal(first.path, `its alternatives combine in more than ${mostBranches} ways; make them fewer`);
      }
      return this.#compile(flatten(this.#workspace, alternative, { ...flat, choices }), path);
    };
    const nodes = first.alternatives.map(compile);
    const [node, ...more] = nodes;
    return node === undefined ? { type: 'never', because: refusal(first.path, 'it is empty') } : choice(node, ...more);
  }

  #leaf(core: readonly SchemaFacts[], exclusions: readonly Exclusion[], path: SchemaPath): GrammarNode {
    const unsupported = core.flatMap((facts) => facts.unsupported.map((found) => ({ ...found, path: facts.path })));
    const assertFollowed = (about: TypeName | 'any'): void => {
      const found = unsupported.find((each) => each.about === about);
      if (found !== undefined)
        throw refusal(below(found.path, found.keyword), 'this keyword is not followed; remove it');
    };
    assertFollowed('any');
    if (core.some(({ valueLists }) => valueLists.length > 0)) return this.#listed(core, exclusions, path);
    let types = typesOf(core);
    const open: Exclusion[] = [];
    for (const exclusion of exclusions) {
      const excluded = plainTypes(this.#workspace, exclusion.located);
      if (excluded === undefined) open.push(exclusion);
      else types = sharedTypes([{ types }, { types: otherTypes(excluded) }]);
    }
    if (types.size === 0)
      return { type: 'never', because: refusal(path, 'the types that it asks for exclude each other') };
    for (const type of types) assertFollowed(type === 'integer' ? 'number' : type);
    const shape = types.has('object') ? shapeOf(core) : undefined;
    const generated = { types, names: shape?.others === undefined ? shape?.names : undefined };
    for (const { located, path: at } of open) {
      this.#workspace.spend(core.length);
      if (!excludes(this.#workspace, core, generated, located)) throw notExclusive(at, located);
    }
    const isAnything = types.size === everyType.size && core.every(({ describes }) => describes.size === 0);
    if (isAnything) return rule('value');
    const nodes = [...types].map((type) => this.#ofType(type, core, shape, path));
    const [node, ...more] = nodes;
    return node === undefined ? rule('value') : choice(node, ...more);
  }

  #ofType(type: TypeName, core: readonly SchemaFacts[], shape: ObjectShape | undefined, path: SchemaPath): GrammarNode {
    switch (type) {
      case 'null':
        return text('null');
      case 'boolean':
        return choice(text('true'), text('false'));
      case 'string':
        return stringNode(core, path, this.#context);
      case 'number':
      case 'integer':
        return numberNode(core, type, path, this.#context);
      case 'array':
        return arrayNode(core, path, this.#context);
      case 'object':
        return objectNode(core, shape ?? shapeOf(core), path, this.#context);
    }
  }

  /** Returns the values of the shortest list that follow all demands. */
  #listed(core: readonly SchemaFacts[], exclusions: readonly Exclusion[], path: SchemaPath): GrammarNode {
    const lists = core.flatMap((facts) => facts.valueLists.map((list) => ({ ...list, path: facts.path })));
    const shortest = lists.reduce((best, list) => (list.values.length < best.values.length ? list : best));
    const at = below(shortest.path, shortest.keyword);
    const others = core.map((facts) => ({
      ...facts,
      valueLists: facts.valueLists.filter(({ values }) => values !== shortest.values),
    }));
    const allowed = shortest.values.filter((value) => {
      const judgements = [
        ...others.map((facts) => judgeFacts(this.#workspace, facts, value)),
        ...exclusions.map(({ located }) => opposite(judge(this.#workspace, located, value))),
      ];
      if (judgements.includes('invalid')) return false;
      if (judgements.includes('unknown')) {
        throw refusal(at, `beside it stand keywords that are not followed for a value like ${nameValue(value)}`);
      }
      return true;
    });
    const [node, ...more] = allowed.map((value) => text(JSON.stringify(value)));
    if (node !== undefined) return choice(node, ...more);
    return { type: 'never', because: refusal(at, `none of its values follows ${place(path)}`) };
  }

  #addSharedRules(): void {
    const names = ['root', ...this.#rules.keys()];
    const queue = names.flatMap((name) => [...usedRules(this.#rules.get(name))]);
    for (let name = queue.pop(); name !== undefined; name = queue.pop()) {
      if (this.#rules.has(name) || !isSharedRule(name)) continue;
      const node = sharedRule(name);
      this.#rules.set(name, node);
      queue.push(...usedRules(node));
    }
  }
}

/** Returns the types of values to generate: those that schemas name, else those that their keywords describe. */
function typesOf(core: readonly SchemaFacts[]): ReadonlySet<TypeName> {
  if (core.some(({ types }) => types !== undefined)) return sharedTypes(core);
  const described = new Set(core.flatMap(({ describes }) => [...describes]));
  return described.size === 0 ? everyType : described;
}

/** Drops schemas that only demand a type that others demand, too, so that equal values share a rule. */
function withoutImpliedTypes(core: readonly SchemaFacts[]): readonly SchemaFacts[] {
  if (core.length < 2) return core;
  const more = core.filter(
    ({ describes, valueLists, unsupported }) => describes.size + valueLists.length + unsupported.length > 0,
  );
  const [all, asked] = [
    sharedTypes(core),
    more.some(({ types }) => types !== undefined) ? sharedTypes(more) : undefined,
  ];
  return asked !== undefined && asked.size === all.size && [...asked].every((type) => all.has(type)) ? more : core;
}

function opposite(judgement: 'valid' | 'invalid' | 'unknown') {
  if (judgement === 'unknown') return judgement;
  return judgement === 'valid' ? 'invalid' : 'valid';
}

function notExclusive(path: SchemaPath, { path: other }: Located) {
  const isNot = path.key === 'not';
  return refusal(
    path,
    isNot
      ? 'it can only be followed where it excludes what the other keywords leave anyway'
      : `a value may follow ${place(other)} and another alternative, too; make them exclude each other, or use anyOf`,
  );
}

function place(path: SchemaPath): string {
  const keys: string[] = [];
  for (let at = path; at.parent !== undefined && keys.length < 3; at = at.parent)
    keys.push(String(at.key).slice(0, 32));
  return keys.length === 0 ? 'the schema' : keys.reverse().join('.');
}

function usedRules(node: GrammarNode | undefined): Set<string> {
  const found = new Set<string>();
  const queue = node === undefined ? [] : [node];
  for (let at = queue.pop(); at !== undefined; at = queue.pop()) {
    if (at.type === 'rule') found.add(at.name);
    if (at.type === 'sequence') queue.push(...at.parts);
    if (at.type === 'choice') queue.push(...at.alternatives);
    if (at.type === 'repeat') queue.push(at.of);
  }
  return found;
}
