/** How far a pull is. */
export interface PullProgress {
  /** Label of the source in use. */
  readonly source: string;
  /** `download` until all bytes are here, then `verify` while they are hashed. */
  readonly phase: 'download' | 'verify';
  readonly doneBytes: number;
  readonly totalBytes: number;
}
