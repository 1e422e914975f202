import { createHash, type Hash } from 'node:crypto';

import { formatBytes, modelManifestSchema, SkeinError, type ModelManifest, type Section } from '@skein/protocol';

import { maxHeadBytes, readGgufLayout, type GgufLayout } from '../gguf/index.ts';
import { RunningCheck, type ContentCheck } from './content-check.ts';
import { accepted, modelShape } from './model-shape.ts';

type SectionRange = Section extends infer Kind ? (Kind extends Section ? Omit<Kind, 'sha256'> : never) : never;

/** Bytes after which the head is read for the first time; each further try waits for twice as many. */
const firstTryBytes = 256 * 1024;

/**
 * The description of a GGUF that comes from front to back: its id, its shape and its sections with their hashes, made
 * while its bytes pass by once. Memory holds its head until that is read, which is 64 MiB at most.
 */
export class RunningManifest {
  readonly #bytes: number;
  readonly #name: string;
  readonly #whole = createHash('sha256');
  readonly #checks: readonly RunningCheck[];
  #receivedBytes = 0;
  /** Head of the file and bytes behind it, until the layout is known. */
  #head: Uint8Array[] = [];
  #tryAtBytes = firstTryBytes;
  #known: { readonly shape: ModelManifest['shape']; readonly sections: RunningSections } | undefined;

  constructor(options: {
    /** Size of the whole file. */
    readonly bytes: number;
    /** Human name of the model. */
    readonly name: string;
    /** Hashes that pieces of the file must have. Default: none. */
    readonly checks?: readonly ContentCheck[] | undefined;
  }) {
    this.#bytes = options.bytes;
    this.#name = options.name;
    this.#checks = (options.checks ?? []).map((check) => new RunningCheck(check));
  }

  /**
   * Takes the next bytes of the file.
   *
   * @throws SkeinError `model-invalid` as soon as the head tells that the file is damaged, no language model, or one of
   * several parts; `hash-mismatch` when a check fails
   */
  async update(chunk: Uint8Array): Promise<void> {
    const offset = this.#receivedBytes;
    this.#receivedBytes += chunk.byteLength;
    this.#whole.update(chunk);
    for (const check of this.#checks) check.update(chunk, offset);
    if (this.#known !== undefined) return this.#known.sections.update(chunk);
    this.#head.push(chunk);
    if (this.#receivedBytes >= Math.min(this.#tryAtBytes, this.#bytes)) await this.#readHead();
  }

  /**
   * Returns the manifest, once all bytes were taken.
   *
   * @throws SkeinError `model-invalid` when the file has fewer bytes, or more, than it had
   */
  finish(): ModelManifest {
    if (this.#bytes === 0) throw new SkeinError('model-invalid', 'the file is empty; choose another one');
    if (this.#receivedBytes !== this.#bytes || this.#known === undefined) {
      const sizes = `${this.#receivedBytes} bytes of ${this.#bytes} came`;
      throw new SkeinError('model-invalid', `the file changed while it was read (${sizes}); try again`);
    }
    const { shape, sections } = this.#known;
    const model = this.#whole.digest('hex');
    const described = { model, bytes: this.#bytes, name: this.#name, shape, sections: sections.finish() };
    return accepted(modelManifestSchema, described);
  }

  async #readHead(): Promise<void> {
    const head = Buffer.concat(this.#head);
    this.#head = [head];
    const layout = await readIfComplete(head, this.#bytes);
    if (layout === undefined) {
      if (head.byteLength >= maxHeadBytes) {
        const reason = `its metadata take more than ${formatBytes(maxHeadBytes)}`;
        throw new SkeinError('model-invalid', `the file is beyond what Skein takes: ${reason}; choose another file`);
      }
      this.#tryAtBytes = Math.min(2 * head.byteLength, maxHeadBytes);
      return;
    }
    const sections = new RunningSections(layout);
    this.#known = { shape: modelShape(layout), sections };
    this.#head = [];
    sections.update(head);
  }
}

/** The hashes of a file's sections, made while its bytes pass by. */
class RunningSections {
  readonly #ranges: readonly SectionRange[];
  readonly #finished: Section[] = [];
  #hash: Hash = createHash('sha256');
  #offset = 0;

  constructor({ metadata, tensors }: GgufLayout) {
    this.#ranges = [
      ...[...metadata.values()].map(({ name, offset, bytes }) => ({ kind: 'metadata' as const, name, offset, bytes })),
      ...[...tensors.values()].map(({ shape, ...tensor }) => ({
        kind: 'tensor' as const,
        ...tensor,
        shape: [...shape],
      })),
    ];
  }

  /** Takes the next bytes of the file. */
  update(chunk: Uint8Array): void {
    // Ranges are in file order and do not overlap, so the current one is always the first that is not finished.
    for (let range = this.#next; range !== undefined; range = this.#next) {
      const end = range.offset + range.bytes;
      this.#hash.update(chunk.subarray(Math.max(0, range.offset - this.#offset), Math.max(0, end - this.#offset)));
      if (end > this.#offset + chunk.byteLength) break;
      this.#finished.push({ ...range, sha256: this.#hash.digest('hex') });
      this.#hash = createHash('sha256');
    }
    this.#offset += chunk.byteLength;
  }

  /** Returns all sections, in file order. The file has them all: its layout lies inside it. */
  finish(): Section[] {
    return this.#finished;
  }

  get #next(): SectionRange | undefined {
    return this.#ranges[this.#finished.length];
  }
}

/** Thrown to a reader that needs bytes of the head that have not come yet. */
class NotThereYet extends Error {}

async function readIfComplete(head: Uint8Array, fileBytes: number): Promise<GgufLayout | undefined> {
  try {
    return await readGgufLayout({
      bytes: fileBytes,
      async read(offset, length) {
        if (offset + length > head.byteLength) throw new NotThereYet();
        return head.slice(offset, offset + length);
      },
    });
  } catch (error) {
    if (error instanceof NotThereYet) return undefined;
    throw error;
  }
}
