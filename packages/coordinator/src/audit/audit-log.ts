import type { KeyObject } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';

import { asSkeinError, silentLogger, SkeinError, type Logger } from '@skein/protocol';

import { encodeEntry, noHash } from './entry.ts';
import { auditEventSchema, type AuditEvent, type LoggedEvent } from './events.ts';
import { fileName, onDisk } from './files.ts';
import { writeHead } from './head.ts';
import { findLogEnd, type LogEnd } from './log-end.ts';
import { LogFile } from './log-file.ts';
import type { AuditPort } from './port.ts';
import { encodeKey } from './signature.ts';

export interface AuditLogOptions {
  /** Directory of the log, made with mode 0700 when it is missing. One process at a time may write there. */
  readonly directory: string;
  /** Ed25519 private key that signs. A log has the same one all its life. */
  readonly key: KeyObject;
  /** Default: silent. */
  readonly logger?: Logger | undefined;
  /** Returns milliseconds since 1970. Default: the system's clock. */
  readonly now?: (() => number) | undefined;
  /** Size at which a file is finished and the next one begun, in bytes. Default 16 MiB: some 24,000 requests. */
  readonly maxFileBytes?: number | undefined;
  /** Number of entries after which one is signed. Default 100. */
  readonly checkpointEntries?: number | undefined;
  /** Longest time until an entry is signed, in milliseconds. Default 60,000. */
  readonly checkpointMs?: number | undefined;
}

/** An entry that is not on the disk yet. */
interface Pending {
  readonly line: Buffer;
  readonly seq: number;
  readonly hash: string;
  /** Whether the file is full after it. */
  readonly endsFile: boolean;
  readonly written: PromiseWithResolvers<number>;
}

/** Most entries that are kept while the disk takes none. Requests are refused meanwhile, so these are the last that ran. */
const maxPending = 10_000;

/**
 * The record of a coordinator's actions; `docs/audit.md` describes its format and its promises. Entries that come while
 * others are being synced go to the disk together.
 */
export class AuditLog implements AuditPort, AsyncDisposable {
  readonly #options: AuditLogOptions;
  readonly #logger: Logger;
  readonly #now: () => number;
  readonly #pending: Pending[] = [];
  /** The last entry, written or pending. */
  #seq: number;
  #hash: string;
  /** Size of the file once pending entries are written. */
  #plannedBytes: number;
  #unsignedEntries = 0;
  #checkpointTimer: NodeJS.Timeout | undefined;
  #file: LogFile | undefined;
  #fileNumber: number;
  #writing: Promise<void> | undefined;
  #failure: SkeinError | undefined;
  #droppedEvents = 0;
  #closing: Promise<void> | undefined;

  private constructor(options: AuditLogOptions, end: Pick<LogEnd, 'seq' | 'hash' | 'fileNumber' | 'fileBytes'>) {
    this.#options = options;
    this.#logger = options.logger ?? silentLogger;
    this.#now = options.now ?? Date.now;
    [this.#seq, this.#hash] = [end.seq, end.hash];
    [this.#fileNumber, this.#plannedBytes] = [end.fileNumber, end.fileBytes];
  }

  /**
   * Opens a log, or begins one. Finds out where a killed process stopped, and records that in the log.
   *
   * @throws SkeinError `disk-failed` when the log can't be written, was signed with another key, or lacks entries; its
   * files stay as they are then
   */
  static async open(options: AuditLogOptions): Promise<AuditLog> {
    const { directory, key, now = Date.now } = options;
    await onDisk(directory, async () => await mkdir(directory, { recursive: true, mode: 0o700 }));
    const end = await findLogEnd(directory, key);
    const beginning = { seq: 0, hash: noHash, fileNumber: 1, fileBytes: 0 };
    // Before the first entry: a log without a head has lost it.
    if (end === undefined) {
      await writeHead(directory, { entries: 0, hash: noHash, time: new Date(now()).toISOString(), key });
    }
    const log = new AuditLog(options, end ?? beginning);
    const { fileNumber, fileBytes } = end ?? beginning;
    log.#file = await LogFile.open(join(directory, fileName(fileNumber)), fileBytes);
    await log.#begin(end);
    return log;
  }

  append(event: AuditEvent): Promise<number> {
    const written = this.#accept(event);
    // For those who do not wait.
    written.catch(() => undefined);
    return written;
  }

  async assertWritable(): Promise<void> {
    if (this.#failure !== undefined) await this.#write();
    if (this.#failure === undefined) return;
    throw new SkeinError(
      'disk-failed',
      "the coordinator can't write its audit log, and answers nothing that it can't record; free space on its disk, then try again",
      { cause: this.#failure },
    );
  }

  /** Signs, writes and closes. Refuses further events. Never throws; does nothing when closed. */
  async close(): Promise<void> {
    this.#closing ??= this.#close();
    await this.#closing;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  async #begin(end: LogEnd | undefined): Promise<void> {
    const { key } = this.#options;
    if (this.#seq === 0) void this.#add({ type: 'opened', format: 1, key: encodeKey(key) });
    if (end !== undefined && (end.torn !== undefined || end.unsealed > 0)) {
      const { unsealed, torn } = end;
      const kept = torn === undefined ? {} : { kept: torn.kept };
      void this.#add({ type: 'recovered', unsealed, tornBytes: torn?.bytes ?? 0, ...kept });
      this.#logger.warn({ unsealed, tornBytes: torn?.bytes ?? 0, ...kept }, 'the audit log was not closed in order');
    }
    await this.#write();
    if (this.#failure === undefined) return;
    await this.#file?.close();
    throw this.#failure;
  }

  async #accept(event: AuditEvent): Promise<number> {
    const { data: checked, error } = auditEventSchema.safeParse(event);
    if (checked === undefined) {
      this.#droppedEvents += 1;
      const fields = error.issues.map(({ path }) => path.join('.')).slice(0, 8);
      this.#logger.error(
        { event: event.type, fields },
        'an event does not fit the audit log, which says that one is missing',
      );
      throw new SkeinError('internal', `an audit event does not fit its schema at ${fields.join(', ')}`);
    }
    if (this.#closing !== undefined) throw new SkeinError('not-running', 'the audit log is closed');
    if (this.#pending.length >= maxPending) {
      this.#droppedEvents += 1;
      throw new SkeinError('overloaded', 'the audit log is behind; try again later');
    }
    this.#tellOfDropped();
    const written = this.#add(checked);
    this.#checkpointIfDue();
    void this.#write();
    return await written;
  }

  /** Chains an entry to the last one and queues it for writing. */
  #add(event: LoggedEvent, { endsFile = false } = {}): Promise<number> {
    const { key } = this.#options;
    const [seq, time] = [this.#seq + 1, new Date(this.#now()).toISOString()];
    const { line, hash } = encodeEntry(event, { seq, time, previous: this.#hash, key });
    const written = Promise.withResolvers<number>();
    written.promise.catch(() => undefined);
    [this.#seq, this.#hash] = [seq, hash];
    this.#plannedBytes = endsFile ? 0 : this.#plannedBytes + line.byteLength;
    this.#unsignedEntries = event.type === 'checkpoint' ? 0 : this.#unsignedEntries + 1;
    this.#pending.push({ line, seq, hash, endsFile, written });
    return written.promise;
  }

  #checkpointIfDue(): void {
    const { maxFileBytes = 16 * 1024 * 1024, checkpointEntries = 100, checkpointMs = 60_000 } = this.#options;
    const endsFile = this.#plannedBytes >= maxFileBytes;
    if (endsFile || this.#unsignedEntries >= checkpointEntries) return this.#checkpoint({ endsFile });
    this.#checkpointTimer ??= setTimeout(() => {
      this.#checkpoint();
      void this.#write();
    }, checkpointMs).unref();
    return undefined;
  }

  #checkpoint(options: { readonly endsFile?: boolean } = {}): void {
    clearTimeout(this.#checkpointTimer);
    this.#checkpointTimer = undefined;
    void this.#add({ type: 'checkpoint' }, options);
  }

  /**
   * Writes pending entries, one call at a time. Never throws: it keeps the error, and the entries that it could not
   * write.
   */
  async #write(): Promise<void> {
    if (this.#pending.length > 0) this.#writing ??= this.#writePending();
    await this.#writing;
  }

  async #writePending(): Promise<void> {
    try {
      while (this.#pending.length > 0) await this.#writeGroup();
      if (this.#failure !== undefined) this.#logger.info({}, 'the audit log is written again');
      this.#failure = undefined;
    } catch (error) {
      this.#fail(asSkeinError(error, 'disk-failed'));
    } finally {
      this.#writing = undefined;
    }
  }

  /** Writes all pending entries that go into one file: the entries first, then the head that vouches for them. */
  async #writeGroup(): Promise<void> {
    const { directory, key } = this.#options;
    const fileEnd = this.#pending.findIndex(({ endsFile }) => endsFile);
    const group = this.#pending.slice(0, fileEnd === -1 ? undefined : fileEnd + 1);
    const last = group.at(-1);
    if (last === undefined) return;
    this.#file ??= await LogFile.open(join(directory, fileName(this.#fileNumber)), 0);
    await this.#file.write(Buffer.concat(group.map(({ line }) => line)));
    const time = new Date(this.#now()).toISOString();
    await writeHead(directory, { entries: last.seq, hash: last.hash, time, key });
    this.#file.commit();
    this.#pending.splice(0, group.length);
    for (const { seq, written } of group) written.resolve(seq);
    if (last.endsFile) await this.#finishFile();
  }

  async #finishFile(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    this.#fileNumber += 1;
    // All of it is on the disk.
    await file?.close().catch(() => undefined);
  }

  #fail(failure: SkeinError): void {
    if (this.#failure === undefined) {
      this.#logger.error({ code: failure.code, reason: failure.message }, "the audit log can't be written");
    }
    this.#failure = failure;
    for (const { written } of this.#pending) written.reject(failure);
  }

  /** Records how many events are missing before the next entry. */
  #tellOfDropped(): void {
    if (this.#droppedEvents > 0) void this.#add({ type: 'dropped', count: this.#droppedEvents });
    this.#droppedEvents = 0;
  }

  async #close(): Promise<void> {
    this.#tellOfDropped();
    if (this.#unsignedEntries > 0) this.#checkpoint();
    await this.#write();
    clearTimeout(this.#checkpointTimer);
    if (this.#pending.length > 0) {
      this.#logger.error({ entries: this.#pending.length }, 'entries of the audit log were lost: the disk took none');
    }
    await this.#file?.close().catch(() => undefined);
  }
}
