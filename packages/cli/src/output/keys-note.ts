/** Returns the sentence about the protection of a data directory's keys, for the moment when they are opened. */
export function keysNote(directory: string, passphrase: string | undefined): string {
  return passphrase === undefined
    ? `The keys in ${directory} are not encrypted: only file permissions protect them (--passphrase-file encrypts them).`
    : `The keys in ${directory} are encrypted.`;
}
