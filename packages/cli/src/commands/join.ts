import { MeshSecret, saveMeshSecret } from '@skein/mesh';
import { decodeInvite } from '@skein/protocol';
import type { Command } from 'commander';

import { startDaemon } from '../daemon/daemon.ts';
import { defaultListenJoin, defaultMeshPort } from '../daemon/default-listen.ts';
import { untilStopped } from '../daemon/until-stopped.ts';
import { parentLifeline } from '../process/lifeline.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { addDaemonOptions, type DaemonFlags } from '../program/daemon-options.ts';
import { openData } from '../program/data-options.ts';
import { createLogger } from '../program/logger.ts';
import { untilJoined } from '../daemon/until-joined.ts';

const examples = `
Examples:
  $ skein join skein1-…                      the line that \`skein up\` printed
  $ skein join skein1-… --backend cpu        leave the GPU alone
  $ skein join skein1-… --data ~/second      a second member on one machine`;

export function registerJoin(program: Command, context: CommandContext): void {
  const command = program
    .command('join')
    .description('Join a mesh and serve: hold models and layers, and compute.')
    .argument('<invite>', 'what `skein up` or `skein invite` printed');
  addDaemonOptions(command, {
    listenDefault: `/ip4/0.0.0.0/tcp/${defaultMeshPort}; this machine only when the invite is from this machine`,
  })
    .addHelpText('after', examples)
    .action(async (invite: string, flags: DaemonFlags) => await join(command, { ...flags, invite }, context));
}

async function join(
  command: Command,
  flags: DaemonFlags & { readonly invite: string },
  context: CommandContext,
): Promise<void> {
  const orderly = flags.parentLifeline === true ? [parentLifeline(context.stdin)] : [];
  const invite = decodeInvite(flags.invite);
  const { directory, controlPath, logLevel } = await openData(command);
  const secret = new MeshSecret(invite.secret);
  const signal = AbortSignal.any([context.signal, ...orderly]);
  await using daemon = await startDaemon({
    directory,
    controlPath,
    secret: async () => {
      await saveMeshSecret(directory, secret);
      return secret;
    },
    name: flags.name,
    listen: flags.listen ?? defaultListenJoin(invite.addresses),
    peers: [...invite.addresses, ...(flags.peer ?? [])],
    mdns: flags.mdns,
    serve: { backend: flags.backend, threads: flags.threads },
    logger: createLogger(context.stderr, logLevel),
    signal,
  });
  const stop = [daemon.stopRequested, ...orderly];
  const members = await untilJoined(daemon.mesh, { signal: AbortSignal.any([context.signal, ...stop]) });
  if (flags.json === true) {
    printJson(context.stdout, { pid: process.pid, peer: daemon.mesh.peerId, addresses: daemon.mesh.addresses() });
  } else {
    const others = members.map(({ name }) => name).join(', ');
    printLine(context.stdout, `Joined: this machine serves, together with ${others}. \`skein status\` shows the mesh.`);
  }
  await untilStopped({ orderly: stop, interrupted: context.signal });
}
