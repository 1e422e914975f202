/** Progress of a long operation on a file. */
export interface Progress {
  /** Bytes done. */
  readonly bytes: number;
  readonly totalBytes: number;
}
