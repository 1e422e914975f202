import { Command, Option } from 'commander';

import packageJson from '../../package.json' with { type: 'json' };
import { defaultMeshPort } from '../daemon/default-listen.ts';
import { exitCodesHelp } from '../process/exit-codes.ts';
import type { CommandContext } from './context.ts';
import { withoutInvites } from './invite-argument.ts';
import { logLevels } from './logger.ts';

type Register = (program: Command, context: CommandContext) => void;

/** The commands in the order of the help: their names, and how to load the module that adds them. */
const commands: readonly (readonly [names: readonly string[], load: () => Promise<Register>])[] = [
  [['up'], async () => (await import('../commands/up.ts')).registerUp],
  [['join'], async () => (await import('../commands/join.ts')).registerJoin],
  [['invite'], async () => (await import('../commands/invite.ts')).registerInvite],
  [['members', 'revoke', 'rotate'], async () => (await import('../commands/members.ts')).registerMembers],
  [['leave'], async () => (await import('../commands/members.ts')).registerLeave],
  [['authority'], async () => (await import('../commands/authority.ts')).registerAuthority],
  [['pull'], async () => (await import('../commands/pull.ts')).registerPull],
  [['models'], async () => (await import('../commands/models.ts')).registerModels],
  [['rm'], async () => (await import('../commands/rm.ts')).registerRm],
  [['plan'], async () => (await import('../commands/plan.ts')).registerPlan],
  [['deploy'], async () => (await import('../commands/deploy.ts')).registerDeploy],
  [['undeploy'], async () => (await import('../commands/undeploy.ts')).registerUndeploy],
  [['drain', 'undrain'], async () => (await import('../commands/drain.ts')).registerDrain],
  [['run'], async () => (await import('../commands/run.ts')).registerRun],
  [['status'], async () => (await import('../commands/status.ts')).registerStatus],
  [['doctor'], async () => (await import('../commands/doctor.ts')).registerDoctor],
  [['gpu'], async () => (await import('../commands/gpu.ts')).registerGpu],
  [['audit'], async () => (await import('../commands/audit/audit.ts')).registerAudit],
  [['stop'], async () => (await import('../commands/stop.ts')).registerStop],
];

/**
 * Makes the `skein` command line, to run one command line: only the command that it names is loaded, or all where it
 * names none, as for the help. Values come from flags, else from the environment variables that the help names, else
 * from the defaults that it names; all are checked the same way.
 *
 * @throws CommanderError for global options that are wrong, and where they ask for the version alone
 */
export async function createProgram(commandLine: readonly string[], context: CommandContext): Promise<Command> {
  const program = addGlobalOptions(new Command('skein'), context);
  const [first = '', second = ''] = program.parseOptions([...commandLine]).operands;
  const name = first === 'help' ? second : first;
  const named = commands.filter(([names]) => names.includes(name));
  for (const [, load] of named.length === 0 ? commands : named) {
    const register = await load();
    register(program, context);
  }
  return program.addHelpText('after', `\n${exitCodesHelp}\n${firstSteps}`);
}

function addGlobalOptions(program: Command, context: CommandContext): Command {
  return (
    program
      .description('One private LLM service from the machines you already own.')
      .version(packageJson.version)
      .addOption(
        new Option(
          '--data <directory>',
          'where identity, certificate, models and audit log lie; one daemon runs in each',
        )
          .env('SKEIN_DATA')
          .default(context.defaultDataDirectory),
      )
      .addOption(
        new Option('--passphrase-file <path>', 'encrypt the keys that lie there with the first line of this file').env(
          'SKEIN_PASSPHRASE_FILE',
        ),
      )
      .addOption(
        new Option('--log-level <level>', 'least level of the log on stderr')
          .choices(logLevels)
          .env('SKEIN_LOG_LEVEL')
          .default('warn'),
      )
      .option('--verbose', 'with an error, say where it happened and what caused it', false)
      .configureHelp({ showGlobalOptions: true })
      .configureOutput({
        writeOut: (text) => context.stdout.write(text),
        writeErr: (text) => context.stderr.write(withoutInvites(text)),
      })
      .showHelpAfterError('(--help after the command lists what it takes)')
      // Throws instead of ending the process.
      .exitOverride()
  );
}

const firstSteps = `
First steps:
  $ skein up --listen /ip4/0.0.0.0/tcp/${defaultMeshPort} --model smollm2-135m-instruct
  $ skein join skein1-…                   on another machine: the line that \`skein up\` printed
  $ skein run "Why is the sky blue?"      on either
For one machine alone leave --listen out; then \`skein up\` prints no line.`;
