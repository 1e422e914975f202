import type { KeyObject } from 'node:crypto';

import { verifyAuditLog } from '@skein/coordinator';
import { loadMembership, publicKeyOf } from '@skein/mesh';
import type { Command } from 'commander';

import { describeVerification, signerOf } from '../../audit/describe-verification.ts';
import { auditDirectory } from '../../data/audit-directory.ts';
import { exitCodes } from '../../process/exit-codes.ts';
import { printJson, printLine, type CommandContext } from '../../program/context.ts';
import { findData } from '../../program/data-options.ts';
import { Verdict } from '../../program/verdict.ts';

interface VerifyFlags {
  readonly peer?: string;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein audit verify
  $ skein audit verify --json | jq '.problems'
  $ skein audit verify --data copy --peer 12D3KooW…        a copy of another machine's log, in copy/audit

Ends with exit code 3 when the log is not as the coordinator wrote it.`;

/** Adds the command `skein audit verify` to that of the audit log. */
export function registerVerify(program: Command, context: CommandContext): void {
  const command = program
    .command('verify')
    .description('Find what was edited, deleted or reordered in the audit log.')
    .option('--peer <id>', 'the coordinator that must have signed it (default: the identity in the data directory)')
    .option('--json', 'print the findings as JSON')
    .addHelpText('after', examples)
    .action(async (flags: VerifyFlags) => {
      const { stdout, signal } = context;
      const { directory } = await findData(command);
      const key = await keyOf(flags, directory);
      const verification = await verifyAuditLog(auditDirectory(directory), { key, signal });
      if (flags.json === true) printJson(stdout, { ...verification, signer: signerOf(verification) ?? null });
      else printLine(stdout, describeVerification(verification));
      if (!verification.ok) throw new Verdict(exitCodes.tampered);
    });
}

async function keyOf({ peer }: VerifyFlags, directory: string): Promise<KeyObject | undefined> {
  const id = peer ?? (await loadMembership(directory))?.certificate.peer;
  return id === undefined ? undefined : publicKeyOf(id);
}
