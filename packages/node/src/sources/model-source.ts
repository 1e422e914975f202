import type { ContentCheck } from '../stage-file/index.ts';

/** A place from which a model's file can be had. Adapters implement it; the store does the writing and the checking. */
export interface ModelSource {
  /** Name for people, in progress and errors. */
  readonly label: string;
  /** Word for the transfer in progress. */
  readonly transfer: 'download' | 'copy';
  /**
   * Asks the source for its offer. Must be quick: it downloads no more than is needed to describe the file.
   *
   * @throws SkeinError `model-unreachable`, `model-not-found`, `model-invalid`, `invalid-request` or
   * `deadline-exceeded`
   */
  open(options: { readonly signal: AbortSignal }): Promise<OfferedFile>;
}

/** A file that a source offers. */
export interface OfferedFile {
  /** Identity of the content: the same identity means the same bytes, so that an interrupted download can be continued. */
  readonly identity: string;
  readonly bytes: number;
  /** SHA-256 according to the source; absent when it names none. */
  readonly sha256?: string | undefined;
  /** Hashes of the pieces from which the file is put together, where the source names some. */
  readonly checks?: readonly ContentCheck[] | undefined;
  /** Path under which the very file lies on this machine; absent where it has to be fetched, or put together. */
  readonly path?: string | undefined;
  /** Whether the store may have the file itself, by a hard link: nobody will write to it. Default: it gets a copy. */
  readonly mayLink?: boolean | undefined;
  /** Most room that {@link OfferedFile.read} takes in the scratch directory, in bytes. */
  readonly scratchBytes: number;
  /**
   * Streams a range of the file. Breaking out of the loop cancels.
   *
   * @throws SkeinError `model-unreachable` or `deadline-exceeded` when it cannot be had, `disk-failed`
   */
  read(options: ReadOptions): AsyncIterable<Uint8Array>;
}

export interface ReadOptions {
  /** First byte to read. */
  readonly offset: number;
  /** Byte behind the last one to read: at most the file's size. */
  readonly end: number;
  /** Directory for temporary files, which exists and is empty. Its content is removed afterwards. */
  readonly scratchDirectory: string;
  readonly signal: AbortSignal;
  /** Receives the number of bytes that have arrived but were not handed out yet, counted from the start of the file. */
  readonly onArrived: (bytes: number) => void;
}
