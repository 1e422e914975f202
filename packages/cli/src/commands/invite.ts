import { adminRoutes, decodeInvite } from '@skein/protocol';
import { Option, type Command } from 'commander';
import { renderUnicodeCompact } from 'uqr';

import { askDaemon } from '../control/control-client.ts';
import { everywhere, isReachable } from '../daemon/default-listen.ts';
import { duration, label, wholeNumber } from '../program/arguments.ts';
import { printJson, printLine, printWarning, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { notRunning } from './local-daemon.ts';

interface InviteFlags {
  readonly role: 'peer' | 'coordinator' | 'client';
  readonly expires: number;
  readonly uses: number;
  readonly label?: Readonly<Record<string, string>>;
  readonly approve?: boolean;
  readonly qr: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein invite                                 for one machine that serves, within an hour
  $ skein invite --uses 5 --expires 1d           for five of them, within a day
  $ skein invite --role client                   for a program with the client SDK: the code alone
  $ skein invite --approve                       the join waits for \`skein members approve\`

Run it where \`skein up\` made the mesh. Whoever uses an invite first is let in: treat it as a password.
A machine that joined as a coordinator coordinates once \`skein up\` is run there.
An invite for a client is no line to run: a program gives it to the client SDK (packages/client/README.md).`;

const onlyHere = `no other machine can use this invite, since Skein listens on this machine only; run \`skein stop\`, start it again with --listen ${everywhere}, and invite again`;

const forClients =
  'Give it to a program with the client SDK: connect({ mesh: { invite, directory } }); see packages/client/README.md.';

/** Adds the command `skein invite` to the program. */
export function registerInvite(program: Command, context: CommandContext): void {
  const command = program
    .command('invite')
    .description('Print the line that lets a machine join the mesh.')
    .addOption(
      new Option('--role <role>', 'what it may be: hold layers, also plan and deploy, or only ask')
        .choices(['peer', 'coordinator', 'client'])
        .default('peer'),
    )
    .addOption(
      new Option('--expires <time>', 'how long it is good, like 30m, 12h or 2d')
        .argParser(duration)
        .default(3_600_000, '1h'),
    )
    .addOption(new Option('--uses <count>', 'machines that it lets in').argParser(wholeNumber(1, 1000)).default(1))
    .option('--label <key=value>', 'what people may know of the machine; repeatable', label)
    .option('--approve', 'the join waits until somebody has run `skein members approve`')
    .option('--no-qr', 'without the code for cameras')
    .option('--json', 'print it as JSON')
    .addHelpText('after', examples)
    .action(async (flags: InviteFlags) => {
      const { controlPath, directory } = await findData(command);
      const { role, expires, uses, label: labels, approve } = flags;
      const wanted = { role, expiresInMs: expires, uses, ...(labels && { labels }), ...(approve && { approve }) };
      const answer = await askDaemon(controlPath, adminRoutes.invite, wanted);
      if (answer === undefined) throw notRunning(directory);
      const { invite } = answer;
      if (!isReachable(decodeInvite(invite).addresses)) printWarning(context.stderr, onlyHere);
      if (flags.json === true) return printJson(context.stdout, { invite });
      printLine(context.stdout, role === 'client' ? invite : `skein join ${invite}`);
      if (role === 'client') printLine(context.stderr, forClients);
      // For people alone: a program that reads the line wants nothing else.
      if (flags.qr && context.stdout.isTTY === true) {
        printLine(context.stdout, renderUnicodeCompact(invite));
      }
    });
}
