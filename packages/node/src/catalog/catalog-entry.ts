import type { SourceSpec } from '../sources/source-spec.ts';

/** A model that Skein knows by name, with its file's hash and sources. */
export interface CatalogEntry {
  /** Name for people to type, in lower case. */
  readonly name: string;
  /** Further names, in lower case. */
  readonly aliases: readonly string[];
  /** Name for people to read. */
  readonly displayName: string;
  /** SPDX id, or the name of a licence that has none. */
  readonly licence: string;
  readonly licenceUrl: string;
  /** Size of the GGUF, in bytes. */
  readonly bytes: number;
  /** SHA-256 of the GGUF. Nothing else is accepted, whatever a source sends. */
  readonly sha256: string;
  /** Sources, tried in this order until one delivers. */
  readonly sources: readonly SourceSpec[];
}
