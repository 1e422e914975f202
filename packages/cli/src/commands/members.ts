import {
  adminRoutes,
  hasCode,
  SkeinError,
  type AnswerOf,
  type AnswerRoute,
  type MemberDescription,
  type RequestTo,
} from '@skein/protocol';
import type { Command } from 'commander';

import { askDaemon } from '../control/control-client.ts';
import { formatLabels, formatTable } from '../output/format.ts';
import { duration } from '../program/arguments.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { resolveId } from '../program/resolve-id.ts';

interface JsonFlag {
  readonly json?: boolean;
}

function help(...examples: readonly string[]): string {
  const shown = ['Examples:', ...examples.map((example) => `  $ skein ${example}`)].join('\n');
  return `\n${shown}\n\nRun it on the machine that has the authority: where \`skein up\` made the mesh.`;
}

/**
 * Adds the commands `skein members`, `skein revoke` and `skein rotate` to the program, for the machine with the
 * authority.
 */
export function registerMembers(program: Command, context: CommandContext): void {
  const members = program
    .command('members')
    .description('Show who was let into the mesh, and who waits.')
    .option('--json', 'print JSON')
    .addHelpText('after', help('members', "members --json | jq '.members[].name'"))
    .action(async (flags: JsonFlag) => {
      const answer = await askHere(members, adminRoutes.members, {});
      if (flags.json === true) return printJson(context.stdout, { mesh: answer.mesh, members: answer.members });
      return printLine(context.stdout, describe(answer.members));
    });

  const approve = members
    .command('approve')
    .description('Let a machine in whose join waits.')
    .argument('<machine>', 'its name, its peer id, or the start or end of that')
    .addHelpText('after', help('members approve attic', 'members approve 8Fq2vXbT'))
    .action(async (text: string) => {
      const peer = await findMember(approve, { text, states: ['waiting'] });
      await askHere(approve, adminRoutes.approve, { peer });
      // A flag of `members`, wherever it stands.
      tell(context, approve.optsWithGlobals<JsonFlag>(), {
        json: { peer },
        text: 'Approved. It joins within seconds.',
      });
    });

  const revoke = program
    .command('revoke')
    .description('End a membership: everywhere, within seconds.')
    .argument('<machine>', 'its name, its peer id, or the start or end of that')
    .option('--json', 'print the peer id as JSON')
    .addHelpText('after', help('revoke attic', 'revoke 8Fq2vXbT'))
    .action(async (text: string, flags: JsonFlag) => {
      const peer = await findMember(revoke, { text, states: ['member', 'waiting', 'expired'] });
      await askHere(revoke, adminRoutes.revoke, { peer });
      const said = `Revoked ${peer}. Its connections are closed, and it can't come back without a new invite.`;
      tell(context, flags, { json: { peer }, text: said });
    });

  const rotate = program
    .command('rotate')
    .description('Begin a new epoch: members get new certificates, and old ones are refused after a while.')
    .option(
      '--grace <time>',
      'how long old certificates are good still, like 1m, 12h or 7d (default: 7d); at least 1m, in which members that are there get new ones',
      duration,
    )
    .option('--json', 'print an empty JSON object when it is done')
    .addHelpText('after', help('rotate', 'rotate --grace 1h'))
    .action(async (flags: JsonFlag & { readonly grace?: number }) => {
      await askHere(rotate, adminRoutes.rotate, { graceMs: flags.grace });
      const said = 'A new epoch has begun. Members that are there renew their certificates now.';
      tell(context, flags, { json: {}, text: said });
    });
}

/** Adds the command `skein leave` to the program, for machines that joined a mesh. */
export function registerLeave(program: Command, context: CommandContext): void {
  const leave = program
    .command('leave')
    .description('Leave the mesh: the authority takes this machine off, and the daemon stops.')
    .option('--json', 'print an empty JSON object when it is done')
    .addHelpText('after', '\nExamples:\n  $ skein leave')
    .action(async (flags: JsonFlag) => {
      await askHere(leave, adminRoutes.leave, {});
      const said = 'Left the mesh. Models stay here; `skein join <invite>` joins one again.';
      tell(context, flags, { json: {}, text: said });
    });
}

function tell(
  { stdout }: CommandContext,
  { json }: JsonFlag,
  said: { readonly json: object; readonly text: string },
): void {
  if (json === true) printJson(stdout, said.json);
  else printLine(stdout, said.text);
}

/**
 * Asks the daemon of the data directory.
 *
 * @throws SkeinError `not-running` when there is none, or the daemon's error
 */
async function askHere<Route extends AnswerRoute>(
  command: Command,
  route: Route,
  request: RequestTo<Route>,
): Promise<AnswerOf<Route>> {
  const { controlPath } = await findData(command);
  const answer = await askDaemon(controlPath, route, request);
  if (answer !== undefined) return answer;
  throw new SkeinError(
    'not-running',
    'Skein does not run here; start it with `skein up`, or name its directory with --data',
  );
}

/**
 * Finds the peer id of the one member that a text means. Members in other states count only where nobody else is meant:
 * the authority explains what is wrong with them.
 *
 * @throws SkeinError `not-found` when there is none, `invalid-request` when there are several
 */
async function findMember(
  command: Command,
  { text, states }: { readonly text: string; readonly states: readonly MemberDescription['state'][] },
): Promise<string> {
  const { members } = await askHere(command, adminRoutes.members, {});
  const named = members.map(({ peer, name, state }) => ({ id: peer, name, isMeant: states.includes(state) }));
  const words = { kind: 'member', list: 'skein members' };
  try {
    return resolveId(
      text,
      named.filter(({ isMeant }) => isMeant),
      words,
    );
  } catch (error) {
    if (!hasCode(error, 'not-found')) throw error;
    return resolveId(text, named, words);
  }
}

/** Formats a time in UTC, as certificates are the same everywhere. */
function untilText(time: number, exactTo: 'day' | 'minute'): string {
  const text = new Date(time).toISOString();
  return exactTo === 'day' ? text.slice(0, 10) : `${text.slice(0, 16).replace('T', ' ')} UTC`;
}

function describe(members: readonly MemberDescription[]): string {
  const rows = members.map(({ peer, name, roles, labels, state, expiresAt, via }) => [
    name,
    via === undefined ? roles.join(', ') : 'client of an hour',
    state,
    state === 'waiting' ? '' : untilText(expiresAt, via === undefined ? 'day' : 'minute'),
    formatLabels(labels),
    peer,
  ]);
  return formatTable([['NAME', 'ROLES', 'STATE', 'UNTIL', 'LABELS', 'PEER'], ...rows]);
}
