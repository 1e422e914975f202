/** The verdict of one check. */
export interface Finding {
  readonly check: string;
  /** Severity. `note`: it may be intended. */
  readonly level: 'ok' | 'note' | 'problem';
  readonly what: string;
  readonly fix?: string;
}
