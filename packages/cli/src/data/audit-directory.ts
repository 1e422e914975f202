import { join } from 'node:path';

export const auditName = 'audit';

/** Returns the path of the audit log in a data directory. */
export function auditDirectory(dataDirectory: string): string {
  return join(dataDirectory, auditName);
}
