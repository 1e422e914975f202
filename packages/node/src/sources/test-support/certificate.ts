import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A self-signed certificate with its key, as PEM. */
export interface Certificate {
  readonly key: string;
  readonly cert: string;
  /** File with the certificate, as `NODE_EXTRA_CA_CERTS` takes it. */
  readonly file: string;
}

/**
 * Makes a self-signed certificate with `openssl` in a directory.
 *
 * @param names of the servers, e.g. `DNS:models.example`, `IP:127.0.0.2`
 * @returns undefined where there is no `openssl`
 */
export async function makeCertificate(directory: string, names: readonly string[]): Promise<Certificate | undefined> {
  const key = join(directory, 'key.pem');
  const file = join(directory, 'certificate.pem');
  const kind = ['-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'];
  const subject = ['-subj', '/CN=models.example', '-addext', `subjectAltName=${names.join(',')}`];
  try {
    await run('openssl', ['req', ...kind, ...subject, '-keyout', key, '-out', file]);
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
  return { key: await readFile(key, 'utf8'), cert: await readFile(file, 'utf8'), file };
}
