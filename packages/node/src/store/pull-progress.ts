import type { ModelSource } from '../sources/index.ts';

/** Progress of a pull. */
export interface PullProgress {
  /** Label of the source in use. */
  readonly source: string;
  /**
   * `wait` while another process fetches the same model, or until one that was killed counts as dead, which takes 15
   * seconds; `verify` while the bytes of an earlier try are hashed; `download`, or `copy` from a file on this machine,
   * until all bytes are here, and hashed; then `verify` while llama.cpp looks at them.
   */
  readonly phase: 'wait' | ModelSource['transfer'] | 'verify';
  /** Bytes done; while waiting, those of the other process. */
  readonly doneBytes: number;
  readonly totalBytes: number;
}
