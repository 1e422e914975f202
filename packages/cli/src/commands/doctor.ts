import { networkInterfaces } from 'node:os';

import {
  askMdns,
  chooseInterfaces,
  findWireless,
  isIdentityEncrypted,
  loadIdentity,
  loadMembership,
  testPath,
  type Membership,
} from '@skein/mesh';
import { examineGpus, findRuntime, isDesktop } from '@skein/node';
import { SkeinError, type DaemonStatus } from '@skein/protocol';
import type { Command } from 'commander';

import { missingRequirements, systemFacts } from '../../bin/requirements.js';
import { askStatus } from '../control/control-client.ts';
import { KnownMembers } from '../data/known-members.ts';
import { loadSettings } from '../data/settings.ts';
import type { Finding } from '../doctor/finding.ts';
import { findings, type Facts } from '../doctor/findings.ts';
import { findSurroundings } from '../doctor/surroundings.ts';
import { waysToMissing } from '../doctor/ways-to-missing.ts';
import { printable } from '../output/format.ts';
import { ifSlow, slowSearch } from '../output/if-slow.ts';
import { exitCodes } from '../process/exit-codes.ts';
import { repeatedMultiaddr } from '../program/arguments.ts';
import { printJson, printLine, printWarning, type CommandContext } from '../program/context.ts';
import { findData, type OpenedData } from '../program/data-options.ts';
import { Verdict } from '../program/verdict.ts';
import { software } from '../program/software.ts';

interface DoctorFlags {
  readonly peer?: readonly string[];
  readonly json?: boolean;
}

const mdnsWaitMs = 2000;

const examples = `
Examples:
  $ skein doctor                                          looks at this machine and its mesh
  $ skein doctor --peer /ip4/192.168.1.20/tcp/7330        tests the way to another machine, step by step

Ends with 1 when something is wrong.`;

/** Adds the command `skein doctor` to the program. */
export function registerDoctor(program: Command, context: CommandContext): void {
  const command = program
    .command('doctor')
    .description('Explain why machines do not see each other, and what helps.')
    .option('--peer <multiaddr>', 'test the way to this machine instead', repeatedMultiaddr)
    .option('--json', 'print what was found as JSON')
    .addHelpText('after', examples)
    .action(async (flags: DoctorFlags) => {
      const data = await findData(command);
      const found =
        flags.peer === undefined ? await examine(data, context) : await testPaths(flags.peer, data, context);
      if (flags.json === true) printJson(context.stdout, { findings: found });
      else for (const finding of found) print(finding, context);
      if (found.some(({ level }) => level === 'problem')) throw new Verdict(exitCodes.failed);
    });
}

async function examine(data: OpenedData, { signal, stderr }: CommandContext): Promise<readonly Finding[]> {
  const { directory, controlPath } = data;
  const membership = await loadMembership(directory);
  const status = await askStatus(controlPath);
  const own = status?.cards.find(({ peer }) => peer === status.peer)?.addresses ?? [];
  const loopbackOnly = own.length > 0 && own.every((address) => address.startsWith('/ip4/127.'));
  const { interface: named } = await loadSettings(directory);
  const only = Array.isArray(named) ? named : undefined;
  const known = await KnownMembers.load(directory, (text) => printWarning(stderr, text));
  // Each waits for others' answers, and none needs what another finds.
  const [mdns, gpuBackends, ways] = await Promise.all([
    membership && askMdns(membership.mesh, { loopbackOnly, only, waitMs: mdnsWaitMs, signal }),
    lookForGpus(data, { signal, stderr }),
    missingMembers(data, { membership, status, known, signal }),
  ]);
  const all = networkInterfaces();
  const used = new Set(chooseInterfaces(all, { only }).map(({ name }) => name));
  const wireless = await findWireless(Object.fromEntries(Object.entries(all).filter(([name]) => used.has(name))));
  const facts: Facts = {
    platform: process.platform,
    surroundings: await findSurroundings(Object.keys(all)),
    missing: missingRequirements(systemFacts()),
    directory,
    certificate: membership?.certificate,
    certificateProblem: membership?.problem,
    clockGap: membership?.clockGap,
    isEncrypted: await isIdentityEncrypted(directory),
    daemon: status,
    knownMembers: new Set(known.addresses.map((address) => address.split('/p2p/')[1])).size,
    mdns: mdns ?? [],
    ownHosts: Object.values(all).flatMap((infos) => (infos ?? []).map(({ address }) => address)),
    passedOver: Object.entries(all).flatMap(([name, infos]) =>
      used.has(name) || infos?.every(({ internal }) => internal) === true ? [] : [name],
    ),
    isDesktop: isDesktop(),
    wireless,
    gpuBackends,
    software,
    now: Date.now(),
  };
  return [...findings(facts), ...ways];
}

async function lookForGpus(
  { directory }: OpenedData,
  { signal, stderr }: Pick<CommandContext, 'signal' | 'stderr'>,
): ReturnType<typeof examineGpus> {
  using _slow = ifSlow(stderr, slowSearch);
  return await examineGpus(await findRuntime(directory), { signal });
}

/**
 * Tests the ways to missing members. Needs the identity to show a certificate: without its passphrase there is nothing
 * to report.
 */
async function missingMembers(
  { directory, passphrase }: OpenedData,
  around: {
    readonly membership: Membership | undefined;
    readonly status: DaemonStatus | undefined;
    readonly known: KnownMembers;
    readonly signal: AbortSignal;
  },
): Promise<readonly Finding[]> {
  const { membership, status, known, signal } = around;
  if (membership === undefined || status === undefined) return [];
  if (passphrase === undefined && (await isIdentityEncrypted(directory))) return [];
  const identity = await loadIdentity(directory, { passphrase });
  const present = new Set(status.cards.map(({ peer }) => peer));
  return await waysToMissing({ known: known.members, present, identity, membership, signal });
}

async function testPaths(
  addresses: readonly string[],
  { directory, passphrase }: OpenedData,
  { signal }: CommandContext,
): Promise<readonly Finding[]> {
  const membership = await loadMembership(directory);
  if (membership === undefined) {
    throw new SkeinError('not-a-member', `${directory} belongs to no mesh; run \`skein up\` or \`skein join\` first`);
  }
  const identity = await loadIdentity(directory, { passphrase });
  const found: Finding[] = [];
  for (const address of addresses) {
    for await (const { step, ok, detail, fix } of testPath({ address, identity, membership, signal })) {
      found.push({ check: step, level: ok ? 'ok' : 'problem', what: detail, ...(fix !== undefined && { fix }) });
    }
  }
  return found;
}

function print({ check, level, what, fix }: Finding, { stdout }: CommandContext): void {
  const mark = { ok: 'ok', note: 'note', problem: 'PROBLEM' }[level];
  printLine(stdout, `${mark.padEnd(8)} ${check}: ${printable(what)}`);
  if (fix !== undefined) printLine(stdout, `${' '.repeat(9)}${printable(fix)}`);
}
