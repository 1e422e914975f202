/** What protects the keys of a data directory, said when they are opened. */
export function keysNote(directory: string, passphrase: string | undefined): string {
  return passphrase === undefined
    ? `The keys in ${directory} are not encrypted: only file permissions protect them (--passphrase-file encrypts them).`
    : `The keys in ${directory} are encrypted.`;
}
