import type { SourceSpec } from '../sources/source-spec.ts';

/** A model that Skein knows by name: what its file is, byte for byte, and where it can be had. */
export interface CatalogEntry {
  /** What people type, lower case. */
  readonly name: string;
  /** Other names for it, lower case. */
  readonly aliases: readonly string[];
  /** What people read. */
  readonly displayName: string;
  /** SPDX id, or the name of a licence that has none. */
  readonly licence: string;
  readonly licenceUrl: string;
  /** Size of the GGUF. */
  readonly bytes: number;
  /** SHA-256 of the GGUF. Whatever a source sends, nothing else is accepted. */
  readonly sha256: string;
  /** Tried in this order until one delivers. */
  readonly sources: readonly SourceSpec[];
}
