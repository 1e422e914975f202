import { SkeinError } from '@skein/protocol';

import { catalog, findCatalogEntry, type CatalogEntry } from '../catalog/index.ts';
import type { HuggingFaceSpec, LocalFileSpec, RepositorySpec } from './source-spec.ts';

/** A person's reference to a model to pull. */
export type ModelReference =
  { readonly kind: 'catalog'; readonly entry: CatalogEntry } | RepositorySpec | HuggingFaceSpec | LocalFileSpec;

const huggingFacePrefix = 'hf:';
/** Pattern of owner and repository names at Hugging Face. */
const segment = String.raw`[A-Za-z0-9][A-Za-z0-9._-]{0,95}`;
const revisionPattern = String.raw`[A-Za-z0-9][A-Za-z0-9._/-]{0,254}`;
const repositoryReference = new RegExp(
  `^(?<repository>${segment}/${segment})(?::(?<quantization>[A-Za-z0-9][A-Za-z0-9._-]{0,63}))?(?:@(?<revision>${revisionPattern}))?$`,
);
const fileReference = new RegExp(
  String.raw`^(?<repository>${segment}/${segment})/(?<file>.*\.gguf)(?:@(?<revision>${revisionPattern}))?$`,
  'i',
);
const defaultRevision = 'main';

/**
 * Parses a model reference: a catalog name; `owner/repository`, `owner/repository:Q4_K_M` or, with the prefix `hf:`,
 * `hf:owner/repository/file.gguf`, each with `@revision` where that is not `main`; or the path of a GGUF. One of several
 * parts (`-00001-of-00003.gguf`) stands for all of them.
 *
 * @param options.revision branch, tag or commit of the repository, in place of `@revision`
 * @throws SkeinError `invalid-request` for anything else; the message lists the possible forms
 */
export function parseModelReference(
  text: string,
  options: { readonly revision?: string | undefined } = {},
): ModelReference {
  const reference = parse(text.trim());
  const { revision } = options;
  if (revision === undefined) return reference;
  if (reference.kind !== 'repository' && reference.kind !== 'hugging-face') {
    throw new SkeinError('invalid-request', 'only a repository has revisions: name one, like owner/repository:Q4_K_M');
  }
  if (reference.revision !== defaultRevision && reference.revision !== revision) {
    throw new SkeinError('invalid-request', `two revisions are named, ${reference.revision} and ${revision}`);
  }
  if (!new RegExp(`^${revisionPattern}$`).test(revision)) {
    throw new SkeinError('invalid-request', `"${revision.slice(0, 200)}" is no branch, tag or commit`);
  }
  return { ...reference, revision };
}

/** Tells whether a text that names a repository might as well be meant as the path of something on this machine. */
export function mayBePath(text: string): boolean {
  return !text.trim().startsWith(huggingFacePrefix);
}

/** Returns the reference, with its prefix, by which a model of a repository is remembered. */
export function referenceTo(spec: RepositorySpec | HuggingFaceSpec): string {
  const { repository, revision } = spec;
  const quantization = spec.kind === 'repository' && spec.quantization !== undefined ? `:${spec.quantization}` : '';
  const file = spec.kind === 'hugging-face' ? `/${spec.file}` : '';
  return `${huggingFacePrefix}${repository}${quantization}${file}${revision === defaultRevision ? '' : `@${revision}`}`;
}

function parse(reference: string): ModelReference {
  if (reference.startsWith(huggingFacePrefix)) {
    const text = reference.slice(huggingFacePrefix.length);
    const found = parseFile(text) ?? parseRepository(text);
    if (found !== undefined) return found;
    throw new SkeinError(
      'invalid-request',
      `"${reference.slice(0, 200)}" is not of the form hf:owner/repository:Q4_K_M or hf:owner/repository/file.gguf`,
    );
  }
  const entry = findCatalogEntry(reference);
  if (entry !== undefined) return { kind: 'catalog', entry };
  if (reference.toLowerCase().endsWith('.gguf')) return { kind: 'local-file', path: reference };
  const repository = parseRepository(reference);
  if (repository !== undefined) return repository;
  throw unknownModel(reference);
}

function parseRepository(text: string): RepositorySpec | undefined {
  const { repository, quantization, revision } = repositoryReference.exec(text)?.groups ?? {};
  if (repository === undefined || repository.toLowerCase().endsWith('.gguf')) return undefined;
  return { kind: 'repository', repository, revision: revision ?? defaultRevision, quantization };
}

function parseFile(text: string): HuggingFaceSpec | undefined {
  const { repository, file, revision } = fileReference.exec(text)?.groups ?? {};
  if (repository === undefined || file === undefined) return undefined;
  if (file.split('/').some((part) => part === '' || part === '.' || part === '..')) return undefined;
  return { kind: 'hugging-face', repository, revision: revision ?? defaultRevision, file };
}

function unknownModel(reference: string): SkeinError {
  const names = catalog.map(({ name }) => name).join(', ');
  return new SkeinError(
    'invalid-request',
    `no model is called "${reference.slice(0, 200)}"; name one of ${names}, a repository like owner/repository:Q4_K_M, a path that ends in .gguf, or hf:owner/repository/file.gguf`,
  );
}
