import type { Card, NamedModel } from '@skein/protocol';

/** A model that members hold or serve. */
export interface CatalogModel extends NamedModel {
  /** The name that most members have for it. */
  readonly name: string;
  /** All other names that members have for it. */
  readonly aliases: readonly string[];
  /** Size of its file; undefined when only stages of it are left in the mesh. */
  readonly bytes: number | undefined;
  /** Whether a replica is ready. */
  readonly isServed: boolean;
  /** The reason why it can't be deployed, in words that follow its name; undefined unless all its holders give one. */
  readonly unusable?: string | undefined;
}

interface Draft {
  readonly nameCounts: Map<string, number>;
  readonly aliases: Set<string>;
  bytes: number | undefined;
  isServed: boolean;
  /** The first holder's reason against it; undefined once another holder gives none. */
  unusable: string | undefined;
}

/** Lists the models on the cards, one entry for each SHA-256, sorted by name. */
export function meshCatalog(cards: readonly Card[]): CatalogModel[] {
  const drafts = new Map<string, Draft>();
  const draftOf = (model: string, name: string): Draft => {
    let draft = drafts.get(model);
    if (draft === undefined) {
      draft = { nameCounts: new Map(), aliases: new Set(), bytes: undefined, isServed: false, unusable: undefined };
      drafts.set(model, draft);
    }
    draft.nameCounts.set(name, (draft.nameCounts.get(name) ?? 0) + 1);
    return draft;
  };
  for (const { models, stages } of cards) {
    for (const { model, name, aliases = [], bytes, unusable } of models) {
      const draft = draftOf(model, name);
      // One member that claims it takes the model from nobody else.
      draft.unusable = draft.bytes === undefined || unusable === undefined ? unusable : draft.unusable;
      draft.bytes ??= bytes;
      for (const alias of aliases) draft.aliases.add(alias);
    }
    for (const { model, name, stage, state } of stages) {
      if (stage === 0 && state === 'ready') draftOf(model, name).isServed = true;
    }
  }
  return [...drafts].map(([model, draft]) => entryOf(model, draft)).toSorted(byName);
}

function entryOf(model: string, { nameCounts, aliases, bytes, isServed, unusable }: Draft): CatalogModel {
  const names = [...nameCounts].toSorted(([one, many], [other, more]) => more - many || compare(one, other));
  const [name = model, ...others] = names.map(([text]) => text);
  const entry = { model, name, aliases: [...new Set([...others, ...aliases])], bytes, isServed };
  return unusable === undefined || isServed ? entry : { ...entry, unusable };
}

function byName(one: CatalogModel, other: CatalogModel): number {
  return compare(one.name, other.name) || compare(one.model, other.model);
}

function compare(one: string, other: string): number {
  if (one === other) return 0;
  return one < other ? -1 : 1;
}
