import { dirname, join } from 'node:path';

import {
  checkJson,
  meshIdSchema,
  signedCertificateSchema,
  signedRevocationListSchema,
  SkeinError,
  type Logger,
} from '@skein/protocol';
import { z } from 'zod';

import { removeFile } from '../files/change-files.ts';
import { readFileIfAny } from '../files/read-file.ts';
import {
  createKeyFile,
  decodeKey,
  encodeKey,
  isIdentityEncrypted,
  loadOrCreateKey,
  readKey,
  type KeyOptions,
} from '../identity/identity.ts';
import { seal, unseal } from '../identity/sealing.ts';
import { readSecretFile, replaceSecretFile } from '../identity/secret-file.ts';
import { authorityStateSchema } from './authority-state.ts';
import { Authority } from './authority.ts';
import { Membership, type Credentials } from './membership.ts';

/** File in a data directory that makes this machine a member. */
const credentialsFile = 'membership.json';
/** File on one machine of a mesh: the key that signs for it. Its statements are in another file. */
const authorityKeyFile = 'authority.key';
const authorityStateFile = 'authority.json';
const maxFileBytes = 8 * 1024 * 1024;

/** Fixes for a damaged file. Without the state of its authority a mesh forgets its revocations. */
const joinAgain = 'restore it from a backup, or move it away and join again';
const restoreAuthority = 'restore it from a backup, or move it and authority.key away and import the authority again';

/** Names of the files with which a machine becomes a member, or a mesh is made. */
export const membershipFiles: readonly string[] = [credentialsFile, authorityKeyFile, authorityStateFile];

const bytes = z.base64().transform((text): Uint8Array => Uint8Array.from(Buffer.from(text, 'base64')));
const signed = z.object({ bytes, signature: bytes });
const bundleSchema = z.object({ key: bytes, state: authorityStateSchema });
const credentialsFileSchema = z.object({
  mesh: meshIdSchema,
  certificate: signed.pipe(signedCertificateSchema),
  revocations: signed.pipe(signedRevocationListSchema),
  /** Time at which the certificate came, by the clock of this machine: beside `issuedAt` it shows clocks that differ. */
  receivedAt: z.number().int().nonnegative().optional(),
});

/**
 * Loads the membership kept in `directory` (file `membership.json`, mode 0600); undefined when it has joined no mesh.
 *
 * @throws SkeinError `disk-failed` for a damaged file
 */
export async function loadMembership(directory: string): Promise<Membership | undefined> {
  const path = join(directory, credentialsFile);
  const stored = await readJson(path, credentialsFileSchema, joinAgain);
  if (stored === undefined) return undefined;
  return await Membership.open(stored.mesh, stored, { receivedAt: stored.receivedAt });
}

/**
 * Saves a membership in `directory`.
 *
 * @throws SkeinError `disk-failed` when it can't be written, `invalid-request` when the directory belongs to another
 * mesh
 */
export async function saveMembership(directory: string, { mesh, credentials, receivedAt }: Membership): Promise<void> {
  const path = join(directory, credentialsFile);
  const stored = await readJson(path, credentialsFileSchema, joinAgain);
  if (stored !== undefined && stored.mesh !== mesh) throw ofAnotherMesh(directory);
  await writeJson(path, { mesh, ...encoded(credentials), receivedAt });
}

/** Saves later changes of a membership in `directory`. Returns a function that waits until all of them are saved. */
export function keepMembership(
  directory: string,
  { membership, logger }: { readonly membership: Membership; readonly logger: Logger },
): () => Promise<void> {
  let saving: Promise<void> = Promise.resolve();
  membership.onChange(() => {
    saving = saving
      .then(async () => await saveMembership(directory, membership))
      .catch((error: unknown) => logger.error({ error }, 'a change of the membership could not be kept'));
  }, logger);
  return async () => await saving;
}

/** Removes the membership. The identity stays. */
export async function removeMembership(directory: string): Promise<void> {
  await removeFile(join(directory, credentialsFile));
}

/**
 * Loads the authority kept in `directory`; undefined where another machine, or none, has it.
 *
 * @throws SkeinError `disk-failed` for a damaged or missing file of it
 */
export async function loadAuthority(directory: string, options: KeyOptions = {}): Promise<Authority | undefined> {
  const key = await readKey(join(directory, authorityKeyFile), options);
  if (key === undefined) return undefined;
  const path = join(directory, authorityStateFile);
  const state = await readJson(path, authorityStateSchema, restoreAuthority);
  // With a new state it would let back in whom it has put out.
  if (state === undefined && (await loadMembership(directory)) !== undefined) {
    throw new SkeinError(
      'disk-failed',
      `${path} is missing; restore it from a backup, or move authority.key away and import the authority again`,
    );
  }
  return await Authority.open({
    key,
    ...(state !== undefined && { state }),
    save: async (next) => await writeJson(path, next),
  });
}

/** Makes a mesh: an authority in `directory`. Returns the existing one where there is one. */
export async function loadOrCreateAuthority(directory: string, options: KeyOptions = {}): Promise<Authority> {
  await loadOrCreateKey(join(directory, authorityKeyFile), options);
  const authority = await loadAuthority(directory, options);
  if (authority === undefined) throw new SkeinError('disk-failed', `the authority in ${directory} disappeared`);
  return authority;
}

/**
 * Exports an authority as a file to keep elsewhere, encrypted with a passphrase.
 *
 * @throws SkeinError `not-found` where there is none
 */
export async function exportAuthority(
  directory: string,
  { passphrase, filePassphrase }: { readonly passphrase: string | undefined; readonly filePassphrase: string },
): Promise<Uint8Array> {
  const key = await readKey(join(directory, authorityKeyFile), { passphrase });
  const state = await readJson(join(directory, authorityStateFile), authorityStateSchema, restoreAuthority);
  if (key === undefined || state === undefined) {
    throw new SkeinError('not-found', `${directory} does not hold the authority of a mesh`);
  }
  const bundle = { key: Buffer.from(encodeKey(key)).toString('base64'), state };
  return await seal(Buffer.from(JSON.stringify(bundle)), filePassphrase);
}

/**
 * Imports an exported authority into a directory, whose machine holds it from then on. Returns the mesh's id.
 *
 * @throws SkeinError `already-running` where there is one, `invalid-request` for a wrong passphrase or another kind of
 * file
 */
export async function importAuthority(
  directory: string,
  exported: Uint8Array,
  { passphrase, filePassphrase }: { readonly passphrase: string | undefined; readonly filePassphrase: string },
): Promise<string> {
  const bundle = checkJson(bundleSchema, await unseal(exported, filePassphrase));
  if (!bundle.ok) {
    throw new SkeinError('invalid-request', 'the file is not an exported authority', { cause: bundle.cause });
  }
  const key = decodeKey(bundle.data.key, 'the exported authority');
  const known = await loadMembership(directory);
  if (known !== undefined && known.mesh !== key.peerId) throw ofAnotherMesh(directory);
  const already = new SkeinError('already-running', `${directory} holds the authority of a mesh already`);
  const keyFile = join(directory, authorityKeyFile);
  if ((await readSecretFile(keyFile, { maxBytes: maxFileBytes })) !== undefined) throw already;
  // The key last: what is broken off before is no authority, and can be imported again.
  await writeJson(join(directory, authorityStateFile), bundle.data.state);
  if (!(await createKeyFile(keyFile, key, { passphrase }))) throw already;
  return key.peerId;
}

/** Removes the authority from a directory, after it was exported to be moved. */
export async function removeAuthority(directory: string): Promise<void> {
  for (const name of [authorityKeyFile, authorityStateFile]) await removeFile(join(directory, name));
}

/** Makes the error `invalid-request` for a directory of another mesh: a directory is of one mesh only. */
export function ofAnotherMesh(directory: string): SkeinError {
  return new SkeinError(
    'invalid-request',
    `${directory} belongs to another mesh; leave that one with \`skein leave\`, or name another directory with --data`,
  );
}

function encoded({ certificate, revocations }: Credentials): object {
  const text = (part: Uint8Array): string => Buffer.from(part).toString('base64');
  const signedText = (part: Credentials['certificate']): object => ({
    bytes: text(part.bytes),
    signature: text(part.signature),
  });
  return { certificate: signedText(certificate), revocations: signedText(revocations) };
}

async function readJson<Schema extends z.ZodType>(
  path: string,
  schema: Schema,
  fix: string,
): Promise<z.output<Schema> | undefined> {
  // Where the keys are encrypted their owner has chosen a place that others may see. No secret is in these files.
  const read = (await isIdentityEncrypted(dirname(path))) ? readFileIfAny : readSecretFile;
  const stored = await read(path, { maxBytes: maxFileBytes });
  if (stored === undefined) return undefined;
  const checked = checkJson(schema, stored);
  if (checked.ok) return checked.data;
  throw new SkeinError('disk-failed', `${path} is damaged (${checked.problem}); ${fix}`, { cause: checked.cause });
}

async function writeJson(path: string, value: object): Promise<void> {
  await replaceSecretFile(path, Buffer.from(`${JSON.stringify(value)}\n`));
}
