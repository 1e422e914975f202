/** Somewhere a model's file can be had. Adapters implement it; the store does the writing and the checking. */
export interface ModelSource {
  /** Name for people, in progress and errors. */
  readonly label: string;
  /** What getting a model from it is called in progress. */
  readonly transfer: 'download' | 'copy';
  /**
   * Finds out what the source would send, which must be quick; nothing is downloaded yet.
   * @throws SkeinError `model-unreachable`, `model-not-found`, `invalid-request` or `deadline-exceeded`
   */
  open(options: { readonly signal: AbortSignal }): Promise<OfferedFile>;
}

/** What a source offers. */
export interface OfferedFile {
  /** Names the content: the same identity means the same bytes, so that an interrupted download can be continued. */
  readonly identity: string;
  readonly bytes: number;
  /** What the source says its SHA-256 is; absent when it does not say. */
  readonly sha256?: string | undefined;
  /** Room that {@link OfferedFile.read} takes in the scratch directory at most, in bytes. */
  readonly scratchBytes: number;
  /**
   * Streams the file from `offset` to its end. Breaking out of the loop cancels.
   * @throws SkeinError `model-unreachable` or `deadline-exceeded` when it cannot be had, `disk-failed`
   */
  read(options: ReadOptions): AsyncIterable<Uint8Array>;
}

export interface ReadOptions {
  /** First byte wanted. */
  readonly offset: number;
  /** Exists and is empty; what is left in it is removed afterwards. */
  readonly scratchDirectory: string;
  readonly signal: AbortSignal;
  /** Told of bytes that have arrived but were not handed out yet, counted from the start of the file. */
  readonly onArrived: (bytes: number) => void;
}
