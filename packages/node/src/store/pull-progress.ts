import type { ModelSource } from '../sources/index.ts';

/** Progress of a pull. */
export interface PullProgress {
  /** Label of the source in use. */
  readonly source: string;
  /**
   * `wait` while another process fetches the same model, or until one that was killed counts as dead, which takes 15
   * seconds; `download`, or `copy` from a file on this machine, until all bytes are here; then `verify` while they are
   * hashed.
   */
  readonly phase: 'wait' | ModelSource['transfer'] | 'verify';
  /** Bytes done; while waiting, those of the other process. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}
