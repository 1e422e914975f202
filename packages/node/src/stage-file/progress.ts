/** How far a long operation on a file is. */
export interface Progress {
  /** Bytes done. */
  readonly bytes: number;
  readonly totalBytes: number;
}
