import { hostname } from 'node:os';

import { askToJoin, loadIdentity, loadMembership, saveMembership, type KeyOptions } from '@skein/mesh';
import { isDesktop } from '@skein/node';
import { decodeInvite, SkeinError, type Invite } from '@skein/protocol';
import type { Command } from 'commander';

import { openWarning } from '../data/data-directory.ts';
import { KnownMembers } from '../data/known-members.ts';
import { startDaemon, type Preparation } from '../daemon/daemon.ts';
import { chooseListenJoin, everywhere } from '../daemon/default-listen.ts';
import { keepMembers } from '../daemon/keep-members.ts';
import { assertOfNoOther } from '../daemon/leaving.ts';
import { untilStopped } from '../daemon/until-stopped.ts';
import { printable } from '../output/format.ts';
import { awakeNote } from '../output/awake-note.ts';
import { keysNote } from '../output/keys-note.ts';
import { ownHardware, startupLines } from '../overview/computing.ts';
import { exitCodes } from '../process/exit-codes.ts';
import { parentLifeline } from '../process/lifeline.ts';
import { printJson, printLine, printWarning, type CommandContext } from '../program/context.ts';
import { addDaemonOptions, peerSettings, type DaemonFlags } from '../program/daemon-options.ts';
import { findData, openData } from '../program/data-options.ts';
import { withoutCommand } from '../program/invite-argument.ts';
import { createLogger } from '../program/logger.ts';
import { readInput } from '../program/read-input.ts';
import { RememberedOptions } from '../program/remembered-options.ts';
import { untilJoined } from '../daemon/until-joined.ts';

const examples = `
Examples:
  $ skein join skein1-…                      the line that \`skein up\` or \`skein invite\` printed
  $ skein join - < invite.txt                what \`skein invite\` wrote to a file; no list of processes shows it
  $ skein join                               again, after a restart: the same mesh
  $ skein join skein1-… --backend cpu        leave the GPU alone
  $ skein join skein1-… --data ~/second      a second member on one machine`;

/** Adds the command `skein join` to the program. */
export function registerJoin(program: Command, context: CommandContext): void {
  const command = program
    .command('join')
    .description('Join a mesh and serve: hold models and layers, and compute.')
    .argument(
      '[invite...]',
      'what `skein up` or `skein invite` printed; - reads it from standard input (default: the mesh that was joined before)',
    );
  addDaemonOptions(command, {
    listenDefault: `${everywhere}; this machine only when the invite is from this machine`,
    keepAwake: isDesktop(),
  })
    .addHelpText('after', examples)
    .action(async (words: readonly string[]) => {
      const given = withoutCommand(words);
      const [invite, ...more] = given[0] === '-' ? await readInvite(context) : given;
      if (more.length > 0) {
        command.error('error: an invite is one word; copy the whole line that `skein up` printed, and nothing else', {
          exitCode: exitCodes.usage,
        });
      }
      await join(command, invite, context);
    });
}

/** Most bytes of piped input: an invite has some hundred characters. */
const maxInviteBytes = 64 * 1024;

/**
 * Returns the words of piped input, like words pasted as arguments.
 *
 * @throws SkeinError `invalid-request` for no input
 */
async function readInvite(context: CommandContext): Promise<readonly string[]> {
  const words = withoutCommand([await readInput(context, { maxBytes: maxInviteBytes })]);
  if (words.length > 0) return words;
  throw new SkeinError(
    'invalid-request',
    'standard input held no invite; pipe in what `skein invite` printed, like `skein join - < invite.txt`',
  );
}

async function join(command: Command, inviteText: string | undefined, context: CommandContext): Promise<void> {
  const invite = inviteText === undefined ? undefined : decodeInvite(inviteText);
  const { directory, isOpen, controlPath, passphrase, logLevel } = await (invite === undefined ? findData : openData)(
    command,
  );
  const remembered = await RememberedOptions.recall(command, { directory, except: ['--json'] });
  const flags = command.opts<DaemonFlags>();
  const orderly = flags.parentLifeline === true ? [parentLifeline(context.stdin)] : [];
  if (isOpen) printWarning(context.stderr, openWarning(directory));
  const known = await KnownMembers.load(directory, (text) => printWarning(context.stderr, text));
  const peers = [...(invite?.addresses ?? known.addresses), ...(flags.peer ?? [])];
  // Before anything starts: the directory may not even be there.
  if (invite === undefined) await assertJoined(directory, peers);
  const logger = createLogger(context.stderr, logLevel);
  const signal = AbortSignal.any([context.signal, ...orderly]);
  await using daemon = await startDaemon({
    directory,
    controlPath,
    passphrase,
    prepare: async (preparation) => {
      if (invite === undefined) return;
      const name = flags.name ?? hostname();
      return await joinMesh(directory, { ...preparation, invite, name, passphrase }, context);
    },
    name: flags.name,
    listen: flags.listen ?? chooseListenJoin({ ...flags, members: peers }),
    announce: flags.announce,
    interfaces: flags.interface,
    peers,
    mdns: flags.mdns,
    liveness: flags.network,
    serve: peerSettings(flags),
    logger,
    signal,
  });
  const stop = [daemon.stopRequested, ...orderly];
  const members = await untilJoined(daemon.mesh, { signal: AbortSignal.any([context.signal, ...stop]) });
  await remembered.save();
  await keepMembers(daemon.mesh, { known, logger });
  if (flags.json === true) {
    printJson(context.stdout, { pid: process.pid, peer: daemon.mesh.peerId, addresses: daemon.mesh.addresses() });
  } else {
    const others = members.map(({ name }) => printable(name)).join(', ');
    const notes = [
      keysNote(directory, passphrase),
      ...startupLines(ownHardware(daemon)),
      ...awakeNote(flags.keepAwake),
      ...remembered.note,
    ];
    for (const note of notes) printLine(context.stdout, note);
    printLine(context.stdout, `Joined: this machine serves, together with ${others}. \`skein status\` shows the mesh.`);
  }
  await untilStopped({ orderly: stop, interrupted: context.signal });
}

/**
 * Exchanges the invite for a certificate. Where the invite is not valid any more, a certificate in the directory is
 * good enough: the same command line works again after a restart. Reports when somebody has to approve.
 */
async function joinMesh(
  directory: string,
  asked: KeyOptions & Preparation & { readonly invite: Invite; readonly name: string },
  { stderr }: CommandContext,
): Promise<void> {
  await assertOfNoOther(directory, { mesh: asked.invite.mesh, passphrase: asked.passphrase });
  const known = await loadMembership(directory);
  const identity = await loadIdentity(directory, asked);
  const onPending = (): void => {
    // It is this identity that waits: the same command goes on waiting as nobody else.
    asked.keep();
    printLine(stderr, `Waiting until somebody runs there: skein members approve ${identity.peerId}`);
    printLine(stderr, 'The same `skein join` goes on where this one was stopped.');
  };
  try {
    await saveMembership(directory, await askToJoin({ ...asked, identity, onPending }));
    // The invite is used up.
    asked.keep();
  } catch (error) {
    if (known === undefined || asked.signal.aborted) throw error;
    // A used invite is not what is wrong then, and another one would not help.
    if (known.problem?.isOfClock === true) known.assertOwnGood();
    if (known.problem !== undefined) throw error;
  }
}

/**
 * Checks that a mesh was joined before, and that a way back into it is known.
 *
 * @throws SkeinError `not-a-member` otherwise
 */
async function assertJoined(directory: string, peers: readonly string[]): Promise<void> {
  if (peers.length > 0 && (await loadMembership(directory)) !== undefined) return;
  throw new SkeinError(
    'not-a-member',
    `${directory} has joined no mesh yet; run here the line that \`skein invite\` prints on the machine that has the mesh's authority, or name its directory with --data`,
  );
}
