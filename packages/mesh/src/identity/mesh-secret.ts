import { createHmac, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { inspect } from 'node:util';

import { SkeinError } from '@skein/protocol';

import { createSecretFile, readSecretFile } from './secret-file.ts';

const secretBytes = 32;
const fileName = 'mesh.secret';

/** The 32 bytes that every member of a mesh knows. Prints as `[redacted]` wherever it ends up. */
export class MeshSecret {
  readonly #bytes: Uint8Array;

  /** Throws `invalid-request` unless given 32 bytes. */
  constructor(bytes: Uint8Array) {
    if (bytes.byteLength !== secretBytes) {
      throw new SkeinError('invalid-request', `a mesh secret has ${secretBytes} bytes`);
    }
    this.#bytes = Uint8Array.from(bytes);
  }

  static generate(): MeshSecret {
    return new MeshSecret(randomBytes(secretBytes));
  }

  /** The bytes themselves, for an invite. */
  reveal(): Uint8Array {
    return Uint8Array.from(this.#bytes);
  }

  /** HMAC-SHA-256 over the parts, one after the other, keyed with the secret. */
  authenticate(...parts: readonly (string | Uint8Array)[]): Uint8Array {
    const hmac = createHmac('sha256', this.#bytes);
    for (const part of parts) hmac.update(part);
    return new Uint8Array(hmac.digest());
  }

  toJSON(): string {
    return '[redacted]';
  }

  toString(): string {
    return '[redacted]';
  }

  [inspect.custom](): string {
    return '[redacted]';
  }
}

/** The secret kept in `directory` (file `mesh.secret`, mode 0600), created when there is none. */
export async function loadOrCreateMeshSecret(directory: string): Promise<MeshSecret> {
  const stored = await loadMeshSecret(directory);
  if (stored !== undefined) return stored;
  await createSecretFile(join(directory, fileName), MeshSecret.generate().reveal());
  // Read back, since another process may have been first.
  const created = await loadMeshSecret(directory);
  if (created === undefined) throw new SkeinError('disk-failed', `the mesh secret in ${directory} disappeared`);
  return created;
}

/** The secret kept in `directory`; undefined when there is none. Throws `disk-failed` as {@link readSecretFile} does. */
export async function loadMeshSecret(directory: string): Promise<MeshSecret | undefined> {
  const path = join(directory, fileName);
  const bytes = await readSecretFile(path);
  if (bytes === undefined) return undefined;
  if (bytes.byteLength !== secretBytes) {
    throw new SkeinError('disk-failed', `${path} is damaged; remove it and join again with an invite`);
  }
  return new MeshSecret(bytes);
}

/** Keeps a secret that came with an invite. Throws `invalid-request` when `directory` belongs to another mesh already. */
export async function saveMeshSecret(directory: string, secret: MeshSecret): Promise<void> {
  const path = join(directory, fileName);
  if (await createSecretFile(path, secret.reveal())) return;
  const stored = await loadMeshSecret(directory);
  if (stored === undefined || Buffer.compare(stored.reveal(), secret.reveal()) !== 0) {
    throw new SkeinError('invalid-request', `${directory} belongs to another mesh; to leave that mesh remove ${path}`);
  }
}
