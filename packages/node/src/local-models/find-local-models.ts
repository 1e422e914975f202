import { basename } from 'node:path';

import { invariant, SkeinError } from '@skein/protocol';

import { mayBeModel, partPaths, withoutPart, type LocalFileSpec } from '../sources/index.ts';
import { describeGguf, filesBelow, type FoundFile } from './files-below.ts';
import { ollamaModels } from './ollama.ts';
import type { LocalModelPlaces } from './places.ts';

/** Prefixes of references to models that other programs hold. */
const programs = Object.freeze({
  ollama: 'Ollama',
  'lm-studio': 'LM Studio',
  'hf-cache': 'Hugging Face cache',
} as const);

type Program = keyof typeof programs;

/** A model that another program holds on this machine. */
export interface LocalModel {
  /** Reference by which it can be pulled: the program's prefix and the name there, e.g. `ollama:llama3.2:3b`. */
  readonly reference: string;
  /** The program, for people. */
  readonly program: string;
  /** Path of its file, or of the first part. */
  readonly path: string;
  /** Size, all parts together. */
  readonly bytes: number;
  /** SHA-256 of its file, where the program names the file so. */
  readonly sha256?: string;
}

/** Lists the models that other programs hold, by reference. Directories that can't be read are left out. */
export async function findLocalModels(places: LocalModelPlaces): Promise<readonly LocalModel[]> {
  const list = async (program: Program, models: Promise<readonly (readonly FoundFile[])[]>) =>
    (await models).map((parts) => describe(program, parts));
  const found = await Promise.all([
    ...places.ollama.map((place) => list('ollama', whole(ollamaModels(place)))),
    ...places.lmStudio.map((place) => list('lm-studio', lmStudioModels(place))),
    ...places.huggingFace.map((place) => list('hf-cache', cachedModels(place))),
  ]);
  return found.flat().toSorted((one, other) => one.reference.localeCompare(other.reference));
}

/** Tells whether a text is meant as the reference to a model that another program holds. */
export function isLocalModelReference(text: string): boolean {
  return Object.keys(programs).some((program) => text.startsWith(`${program}:`));
}

/**
 * Finds the model that another program holds by its reference.
 *
 * @throws SkeinError `model-not-found` when there is none; `invalid-request` when several programs of that kind have it
 */
export async function findLocalModel(text: string, places: LocalModelPlaces): Promise<LocalFileSpec> {
  const fitting = (await findLocalModels(places)).filter(({ reference }) => reference === text);
  const [only, ...others] = fitting;
  if (only === undefined) {
    const fix = '`skein models --local` lists those that there are';
    throw new SkeinError('model-not-found', `no model is called ${text.slice(0, 200)} on this machine; ${fix}`);
  }
  if (others.length > 0) {
    const paths = fitting.map(({ path }) => path).join(', ');
    throw new SkeinError('invalid-request', `several models are called ${text}: ${paths}; name the path`);
  }
  const name = text.startsWith('ollama:') ? text.slice('ollama:'.length) : undefined;
  return { kind: 'local-file', path: only.path, ...(name !== undefined && { name }) };
}

async function lmStudioModels(directory: string): Promise<readonly (readonly FoundFile[])[]> {
  return await assembled(directory, await filesBelow(directory));
}

/** Lists the models of a Hugging Face cache: links at `models--owner--name/snapshots/<commit>/…` lead to its blobs. */
async function cachedModels(directory: string): Promise<readonly (readonly FoundFile[])[]> {
  const newest = new Map<string, readonly FoundFile[]>();
  for (const [first, ...others] of await assembled(directory, await filesBelow(directory))) {
    if (first === undefined) continue;
    const [, owner, repository, path] =
      /^models--([^/]+?)--([^/]+)\/snapshots\/[0-9a-f]{40}\/(.+)$/.exec(first.name) ?? [];
    if (path === undefined) continue;
    const name = `${owner}/${repository}/${path}`;
    const known = newest.get(name)?.[0];
    if (known !== undefined && known.modifiedMs >= first.modifiedMs) continue;
    newest.set(name, [{ ...first, name }, ...others]);
  }
  return [...newest.values()];
}

/** Describes the models among the files of a directory, each with all its parts. */
async function assembled(directory: string, files: readonly string[]): Promise<readonly (readonly FoundFile[])[]> {
  const models: (readonly FoundFile[])[] = [];
  for (const file of files) {
    if (!mayBeModel(file)) continue;
    const parts = partsOf(file);
    if (parts === undefined || parts[0] !== file) continue;
    const found = await Promise.all(parts.map((part) => describeGguf(directory, part)));
    const all = found.filter((part) => part !== undefined);
    if (all.length === parts.length) models.push(all);
  }
  return models;
}

/** Returns the names of all parts of a model; undefined for a file whose name is no part's. */
function partsOf(file: string): readonly string[] | undefined {
  try {
    return partPaths(file) ?? [file];
  } catch {
    return undefined;
  }
}

async function whole(files: Promise<readonly FoundFile[]>): Promise<readonly (readonly FoundFile[])[]> {
  return (await files).map((file) => [file]);
}

function describe(program: Program, parts: readonly FoundFile[]): LocalModel {
  const { name, path, target } = invariant(parts[0], 'a model has a file');
  const sha256 = parts.length === 1 ? /^(?:sha256-)?([0-9a-f]{64})$/.exec(basename(target))?.[1] : undefined;
  return {
    reference: `${program}:${withoutPart(name)}`,
    program: programs[program],
    path,
    bytes: parts.reduce((sum, { bytes }) => sum + bytes, 0),
    ...(sha256 !== undefined && { sha256 }),
  };
}
