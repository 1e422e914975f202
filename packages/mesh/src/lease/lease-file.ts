import { checkJson, leaseSchema, meshIdSchema, type Lease, type Logger } from '@skein/protocol';

import { readFileIfAny, setAside } from '../files/read-file.ts';
import { replaceSecretFile } from '../identity/secret-file.ts';

const maxBytes = 1024;
const contentSchema = leaseSchema.extend({ mesh: meshIdSchema });

/**
 * The file in which a machine remembers a lease. One of another mesh, which this machine has left, counts as missing;
 * so does a damaged one, which is set aside: the others' leases are heard again within a moment.
 */
export class LeaseFile {
  readonly #path: string;
  readonly #mesh: string;

  /** @param mesh id of the mesh whose lease it holds */
  constructor(path: string, mesh: string) {
    this.#path = path;
    this.#mesh = mesh;
  }

  /**
   * Reads the lease that was written last; undefined where there is none.
   *
   * @throws SkeinError `disk-failed` when the file can't be read, or can't be set aside
   */
  async read(logger: Logger): Promise<Lease | undefined> {
    const bytes = await readFileIfAny(this.#path, { maxBytes });
    if (bytes === undefined) return undefined;
    const content = checkJson(contentSchema, bytes);
    if (!content.ok) {
      const { problem } = content;
      const aside = await setAside(this.#path);
      logger.warn({ problem, aside }, 'the file with the last lease is damaged, and was set aside');
      return undefined;
    }
    const { mesh, epoch, holder } = content.data;
    return mesh === this.#mesh ? { epoch, holder } : undefined;
  }

  /**
   * Writes a lease, in place of the one before. It is safe from a power cut once this resolves.
   *
   * @throws SkeinError `disk-failed` when it can't be written
   */
  async write({ epoch, holder }: Lease): Promise<void> {
    const text = JSON.stringify({ mesh: this.#mesh, epoch, holder });
    await replaceSecretFile(this.#path, new TextEncoder().encode(`${text}\n`));
  }
}
