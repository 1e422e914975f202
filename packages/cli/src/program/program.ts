import { Command, Option } from 'commander';

import packageJson from '../../package.json' with { type: 'json' };
import { registerAudit } from '../commands/audit/audit.ts';
import { registerAuthority } from '../commands/authority.ts';
import { registerDoctor } from '../commands/doctor.ts';
import { registerDeploy } from '../commands/deploy.ts';
import { registerGpu } from '../commands/gpu.ts';
import { registerDrain } from '../commands/drain.ts';
import { registerInvite } from '../commands/invite.ts';
import { registerJoin } from '../commands/join.ts';
import { registerLeave, registerMembers } from '../commands/members.ts';
import { registerModels } from '../commands/models.ts';
import { registerPlan } from '../commands/plan.ts';
import { registerPull } from '../commands/pull.ts';
import { registerRm } from '../commands/rm.ts';
import { registerRun } from '../commands/run.ts';
import { registerStatus } from '../commands/status.ts';
import { registerStop } from '../commands/stop.ts';
import { registerUndeploy } from '../commands/undeploy.ts';
import { registerUp } from '../commands/up.ts';
import { defaultMeshPort } from '../daemon/default-listen.ts';
import { exitCodesHelp } from '../process/exit-codes.ts';
import type { CommandContext } from './context.ts';
import { withoutInvites } from './invite-argument.ts';
import { logLevels } from './logger.ts';

/**
 * Makes the `skein` command line. Values come from flags, else from the environment variables that the help names, else
 * from the defaults that it names; all are checked the same way.
 */
export function createProgram(context: CommandContext): Command {
  const program = new Command('skein')
    .description('One private LLM service from the machines you already own.')
    .version(packageJson.version)
    .addOption(
      new Option('--data <directory>', 'where identity, certificate, models and audit log lie; one daemon runs in each')
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
    .exitOverride();
  for (const register of [
    registerUp,
    registerJoin,
    registerInvite,
    registerMembers,
    registerLeave,
    registerAuthority,
    registerPull,
    registerModels,
    registerRm,
    registerPlan,
    registerDeploy,
    registerUndeploy,
    registerDrain,
    registerRun,
    registerStatus,
    registerDoctor,
    registerGpu,
    registerAudit,
    registerStop,
  ]) {
    register(program, context);
  }
  return program.addHelpText('after', `\n${exitCodesHelp}\n${firstSteps}`);
}

const firstSteps = `
First steps:
  $ skein up --listen /ip4/0.0.0.0/tcp/${defaultMeshPort} --model smollm2-135m-instruct
  $ skein join skein1-…                   on another machine: the line that \`skein up\` printed
  $ skein run "Why is the sky blue?"      on either
For one machine alone leave --listen out; then \`skein up\` prints no line.`;
