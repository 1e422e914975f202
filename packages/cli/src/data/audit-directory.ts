import { join } from 'node:path';

export const auditName = 'audit';

/** Where the audit log of a data directory lies. */
export function auditDirectory(dataDirectory: string): string {
  return join(dataDirectory, auditName);
}
