import { hostname } from 'node:os';

import type { Coordinator } from '@skein/client';
import { ComingModel } from '@skein/coordinator';
import { loadMembership } from '@skein/mesh';
import { namesToCome } from '@skein/node';
import type { DeploymentOptions, ScalingRequest, SkeinError } from '@skein/protocol';
import { Option, type Command } from 'commander';

import { openLocalCoordinator } from '../control/control-client.ts';
import { openWarning } from '../data/data-directory.ts';
import { KnownMembers } from '../data/known-members.ts';
import { startDaemon, type Daemon } from '../daemon/daemon.ts';
import { chooseListenUp, defaultListenUp, everywhere, isOnThisMachine, isReachable } from '../daemon/default-listen.ts';
import { keepMembers } from '../daemon/keep-members.ts';
import { openOrCreateMesh } from '../daemon/open-mesh.ts';
import { untilStopped } from '../daemon/until-stopped.ts';
import { exitCodes } from '../process/exit-codes.ts';
import { parentLifeline } from '../process/lifeline.ts';
import { loopbackHost, wholeNumber } from '../program/arguments.ts';
import { printJson, printLine, printWarning, type CommandContext } from '../program/context.ts';
import { awakeNote } from '../output/awake-note.ts';
import { keysNote } from '../output/keys-note.ts';
import { ownHardware, startupLines } from '../overview/computing.ts';
import { addDaemonOptions, peerSettings, type DaemonFlags } from '../program/daemon-options.ts';
import { findData, openData } from '../program/data-options.ts';
import {
  addDeploymentOptions,
  deploymentFlagNames,
  deploymentOptions,
  givenDeploymentFlag,
} from '../program/deployment-options.ts';
import { givenOptions } from '../program/given-options.ts';
import { createLogger } from '../program/logger.ts';
import { RememberedOptions } from '../program/remembered-options.ts';
import { addScalingOptions, givenScalingFlag, scalingFlagNames, scalingOptions } from '../program/scaling-options.ts';
import { deployModel, describeDeployment } from './deploy-model.ts';
import { keepTrying } from './keep-trying.ts';
import { pullModel, readPullable } from './pull-model.ts';

interface UpFlags extends DaemonFlags {
  readonly host: string;
  readonly port: number;
  readonly serve: boolean;
  readonly model?: string;
}

const listenDefault = `${defaultListenUp.join(', ')}; ${everywhere} with --announce or --interface, and where this machine joined other machines`;

const examples = `
Examples:
  $ skein up                                        this machine alone, API at http://127.0.0.1:7331/v1
  $ skein up --listen ${everywhere}         let other machines join
  $ skein up --model smollm2-135m-instruct          get a model and serve it
  $ skein up --no-serve                             plan and route only; others hold the layers`;

const noAddressYet =
  'no other machine can join or be reached yet: this one has no address that others can dial; connect it to a network, or name an address with --announce';

/** Adds the command `skein up` to the program. */
export function registerUp(program: Command, context: CommandContext): void {
  const flags = [...deploymentFlagNames(), ...scalingFlagNames];
  const command = program
    .command('up')
    .description('Start a mesh, or this part of it: the HTTP API, and a peer that serves.')
    .addOption(
      new Option('--host <address>', 'where the HTTP API listens, on this machine')
        .argParser(loopbackHost)
        .env('SKEIN_HOST')
        .default('127.0.0.1'),
    )
    .addOption(
      new Option('--port <port>', 'its port; 0 takes a free one')
        .argParser(wholeNumber(0, 65_535))
        .env('SKEIN_PORT')
        .default(7331),
    )
    .option('--serve', 'hold layers', true)
    .option('--no-serve', 'coordinate only: this machine holds no layers')
    .option(
      '--model <model>',
      `pull this model and deploy it, as the flags from ${flags.at(0)} to ${flags.at(-1)} say`,
    );
  addDaemonOptions(addScalingOptions(addDeploymentOptions(command)), { listenDefault, keepAwake: false })
    .addHelpText('after', examples)
    .action(async () => await up(command, context));
}

async function up(command: Command, context: CommandContext): Promise<void> {
  const options = deploymentOptions(command);
  const scaling = scalingOptions(command);
  const given = givenDeploymentFlag(command) ?? givenScalingFlag(command);
  if (given !== undefined && command.opts<UpFlags>().model === undefined) {
    command.error(`error: ${given} needs --model: it says how that model is deployed`, { exitCode: exitCodes.usage });
  }
  const except = ['--json', '--model', ...deploymentFlagNames(), ...scalingFlagNames];
  const remembered = await RememberedOptions.recall(command, { ...(await findData(command)), except });
  const flags = command.opts<UpFlags>();
  // A bad reference is refused before anything is made, and before others can join.
  const coming = flags.model === undefined ? undefined : new ComingModel(await namesOf(flags.model, flags, context));
  const orderly = flags.parentLifeline === true ? [parentLifeline(context.stdin)] : [];
  const { directory, isOpen, controlPath, passphrase, logLevel } = await openData(command);
  const logger = createLogger(context.stderr, logLevel);
  if (isOpen) printWarning(context.stderr, openWarning(directory));
  const known = await KnownMembers.load(directory, (text) => printWarning(context.stderr, text));
  const membership = await loadMembership(directory);
  const members = membership === undefined ? [] : known.addresses;
  const listen = flags.listen ?? chooseListenUp({ ...flags, membership, members });
  await using daemon = await startDaemon({
    directory,
    controlPath,
    passphrase,
    prepare: async () => await openOrCreateMesh(directory, { name: flags.name ?? hostname(), passphrase }),
    name: flags.name,
    listen,
    announce: flags.announce,
    interfaces: flags.interface,
    peers: [...members, ...(flags.peer ?? [])],
    mdns: flags.mdns,
    liveness: flags.network,
    serve: flags.serve ? peerSettings(flags) : undefined,
    coordinate: { host: flags.host, port: flags.port, coming },
    logger,
    signal: AbortSignal.any([context.signal, ...orderly]),
  });
  if (!isOnThisMachine(listen) && !isReachable(daemon.mesh.addresses())) printWarning(context.stderr, noAddressYet);
  if (flags.json !== true) {
    const given = givenOptions(command, { except: ['--listen'] });
    const notes = [
      keysNote(directory, passphrase),
      ...startupLines(ownHardware(daemon)),
      ...awakeNote(flags.serve && flags.keepAwake),
      ...remembered.note,
    ];
    await printFacts(context, daemon, { listen, given, notes });
  }
  await remembered.save();
  await keepMembers(daemon.mesh, { known, logger });
  const stop = [daemon.stopRequested, ...orderly];
  if (flags.model !== undefined && coming !== undefined) {
    const coordinator = openLocalCoordinator(controlPath);
    await serveModel({ ...flags, model: flags.model }, context, {
      daemon,
      coordinator,
      coming,
      options,
      scaling,
      stop,
    });
  }
  if (flags.json === true) printJson(context.stdout, factsOf(daemon));
  await untilStopped({ orderly: stop, interrupted: context.signal });
}

/** Returns the names of the model that `up` is to deploy, once it is known that it can be pulled. */
async function namesOf(
  model: string,
  { serve }: Pick<UpFlags, 'serve'>,
  context: CommandContext,
): Promise<readonly string[]> {
  return serve ? [model, ...namesToCome(await readPullable(model, context))] : [model];
}

async function serveModel(
  flags: UpFlags & { readonly model: string },
  context: CommandContext,
  around: {
    readonly daemon: Daemon;
    readonly coordinator: Coordinator;
    readonly coming: ComingModel;
    readonly options: DeploymentOptions;
    readonly scaling: ScalingRequest;
    readonly stop: readonly AbortSignal[];
  },
): Promise<void> {
  const { daemon, coordinator, coming, options, scaling, stop } = around;
  const signal = AbortSignal.any([context.signal, ...stop]);
  const quiet = { ...context, signal };
  // A machine that holds no layers offers no models either: what it pulled would be of no use, somebody else must hold it.
  const patience = {
    mesh: daemon.mesh,
    signal,
    onWait: (error: SkeinError) => printWarning(quiet.stderr, waiting(error)),
  };
  const model = flags.serve
    ? (await keepTrying(async () => await pullModel(daemon.store, flags.model, quiet), patience)).model
    : flags.model;
  if (flags.serve) coming.found(model);
  await daemon.announceModels();
  // The same as after the last start goes on.
  const asked = { coordinator, scaling, unlessServed: true, wait: true, onWait: patience.onWait };
  const deployment = await keepTrying(
    async () => await deployModel({ ...asked, request: { model, ...options } }, quiet),
    patience,
  );
  if (flags.json !== true) printLine(context.stdout, describeDeployment(deployment, daemon.mesh.cards.snapshot()));
}

function waiting({ message }: SkeinError): string {
  return `${message}; Skein stays up, and tries again from time to time and when a machine joins`;
}

function urlOf({ url = '' }: Daemon): string {
  return url;
}

function factsOf(daemon: Daemon): object {
  const { url, mesh } = daemon;
  return { pid: process.pid, peer: mesh.peerId, mesh: mesh.membership.mesh, url, addresses: mesh.addresses() };
}

async function printFacts(
  { stdout }: CommandContext,
  daemon: Daemon,
  facts: { readonly listen: readonly string[]; readonly given: readonly string[]; readonly notes: readonly string[] },
): Promise<void> {
  const { listen, given, notes } = facts;
  printLine(stdout, `Skein is up. Point any OpenAI client at ${urlOf(daemon)}/v1`);
  for (const note of notes) printLine(stdout, note);
  // Only the machine with the authority can let others in.
  if (daemon.mesh.authority === undefined) return;
  printLine(stdout);
  if (isOnThisMachine(listen)) {
    const command = ['skein up --listen', everywhere, ...given];
    printLine(stdout, 'It works on this machine only. To let others join, stop it and start it with:');
    printLine(stdout, `  ${command.join(' ')}`);
  } else if (isReachable(daemon.mesh.addresses())) {
    printLine(stdout, 'To add a machine, run there within an hour:');
    printLine(stdout, `  skein join ${await daemon.invite()}`);
    printLine(stdout, 'It lets one machine in. `skein invite` prints more, `skein members` says who is in.');
  }
  printLine(stdout);
}
