/**
 * Appends to the audit log in a directory until it is killed, several events at a time over small files, and prints the
 * number of each entry that is on the disk: `node append-for-ever.ts <directory> <private key as PEM>`.
 */
import { createPrivateKey } from 'node:crypto';
import { writeSync } from 'node:fs';

import { AuditLog } from '../audit/audit-log.ts';

const [directory = '', pem = ''] = process.argv.slice(2);
const log = await AuditLog.open({ directory, key: createPrivateKey(pem), maxFileBytes: 8000, checkpointEntries: 10 });

async function appendForEver(reason: string): Promise<never> {
  for (;;) writeSync(1, `${await log.append({ type: 'refusal', reason })}\n`);
}

await Promise.all(['one', 'two', 'three'].map(appendForEver));
