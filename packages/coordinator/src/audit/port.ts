import type { AuditEvent } from './events.ts';

/** A log of events. */
export interface AuditPort {
  /**
   * Records an event. Resolves with the entry's number when it is on the disk. Callers that do not wait need not handle
   * a rejection: the log reports it itself.
   */
  append(event: AuditEvent): Promise<number>;
  /**
   * Checks that events can be recorded. Call it before anything that must not happen unrecorded.
   *
   * @throws SkeinError `disk-failed` while nothing can be recorded
   */
  assertWritable(): Promise<void>;
}

/** A log that records nothing, for tests and programs that keep none. */
export const noAudit: AuditPort = Object.freeze({
  append: async () => 0,
  assertWritable: async () => undefined,
});
