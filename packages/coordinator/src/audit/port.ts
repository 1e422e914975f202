import type { AuditEvent } from './events.ts';

/** Where what happens is recorded. */
export interface AuditPort {
  /**
   * Records an event. Resolves with the entry's number when it is on the disk. Who does not wait need not handle a
   * rejection: the log tells of it itself.
   */
  append(event: AuditEvent): Promise<number>;
  /** Throws `disk-failed` while nothing can be recorded: then nothing may happen that has to be. */
  assertWritable(): Promise<void>;
}

/** Records nothing. For tests and programs that keep no log. */
export const noAudit: AuditPort = Object.freeze({
  append: async () => 0,
  assertWritable: async () => undefined,
});
