import { livenessPresets, type LivenessPreset } from '@skein/mesh';
import { backends, splitModes, type Backend, type GpuOptions, type PeerOptions } from '@skein/node';
import { maxGpus } from '@skein/protocol';
import { Option, type Command } from 'commander';

import {
  givenName,
  gpuNumbers,
  ratios,
  repeated,
  repeatedAnnouncement,
  repeatedMultiaddr,
  wholeNumber,
} from './arguments.ts';

/** Flags that `up` and `join` have in common. */
export interface DaemonFlags {
  readonly listen?: readonly string[];
  readonly announce?: readonly string[];
  readonly interface?: readonly string[];
  readonly peer?: readonly string[];
  readonly mdns: boolean;
  readonly network: LivenessPreset | 'auto';
  readonly name?: string;
  readonly backend: Backend | 'auto';
  readonly gpus?: readonly number[];
  readonly splitMode?: GpuOptions['splitMode'];
  readonly tensorSplit?: readonly number[];
  readonly mainGpu?: number;
  readonly threads?: number;
  readonly keepAwake: boolean;
  readonly json?: boolean;
  readonly parentLifeline?: boolean;
}

/** Adds the options that `up` and `join` have in common to a command, which it returns. */
export function addDaemonOptions(
  command: Command,
  {
    listenDefault,
    keepAwake,
  }: {
    readonly listenDefault: string;
    /** Whether this machine stays awake unless a flag says otherwise. */
    readonly keepAwake: boolean;
  },
): Command {
  return command
    .option(
      '--listen <multiaddr>',
      `where members may dial this machine; repeatable (default: ${listenDefault})`,
      repeatedMultiaddr,
    )
    .option(
      '--announce <multiaddr>',
      'where members are told to dial it instead: what a router, a container or WSL passes on to it; `own` keeps its own addresses, too; repeatable',
      repeatedAnnouncement,
    )
    .option(
      '--interface <name>',
      'a network to be dialled and found on, such as tailscale0; repeatable (default: all but tunnels and bridges of containers)',
      repeated,
    )
    .option('--peer <multiaddr>', 'a member to stay connected to; repeatable', repeatedMultiaddr)
    .option('--mdns', 'look for members on the local network', true)
    .option('--no-mdns', 'do not')
    .addOption(
      new Option(
        '--network <preset>',
        'how this machine is reached, and so how long it may be silent before it counts as dead; auto is wifi on a wireless interface, else lan',
      )
        .choices(['auto', ...Object.keys(livenessPresets)])
        .env('SKEIN_NETWORK')
        .default('auto'),
    )
    .addOption(
      new Option('--name <name>', 'what this machine is called (default: its host name)')
        .argParser(givenName)
        .env('SKEIN_NAME'),
    )
    .addOption(
      new Option('--backend <backend>', 'what computes here')
        .choices(['auto', ...backends])
        .env('SKEIN_BACKEND')
        .default('auto'),
    )
    .addOption(
      new Option(
        '--gpus <numbers>',
        'the GPUs to use, like 0,2; `skein gpu` lists them (default: all that are no part of the CPU)',
      )
        .argParser(gpuNumbers)
        .env('SKEIN_GPUS'),
    )
    .addOption(
      new Option(
        '--split-mode <mode>',
        'how a stage lies on several GPUs: each has whole layers, or with row a part of every layer (default: layer)',
      )
        .choices(splitModes)
        .env('SKEIN_SPLIT_MODE'),
    )
    .addOption(
      new Option('--tensor-split <shares>', 'share of each GPU, like 3,1 (default: by their free memory)')
        .argParser(ratios)
        .env('SKEIN_TENSOR_SPLIT'),
    )
    .addOption(
      new Option('--main-gpu <number>', 'the GPU that is filled before others get anything')
        .argParser(wholeNumber(0, maxGpus - 1))
        .env('SKEIN_MAIN_GPU'),
    )
    .addOption(
      new Option('--threads <count>', 'threads of a stage (default: the physical cores)')
        .argParser(wholeNumber(1, 1024))
        .env('SKEIN_THREADS'),
    )
    .addOption(
      new Option('--keep-awake', 'do not let this machine go to sleep while it holds a stage').default(
        keepAwake,
        'on a desktop that joins',
      ),
    )
    .option('--no-keep-awake', 'let it sleep as ever')
    .option('--json', 'print the facts as one line of JSON, once it is up')
    .addOption(new Option('--parent-lifeline', 'stop when standard input ends').hideHelp());
}

/** Returns the settings of this machine's peer from its flags. */
export function peerSettings({
  backend,
  threads,
  gpus,
  splitMode,
  tensorSplit,
  mainGpu,
  keepAwake,
}: DaemonFlags): Pick<PeerOptions, 'backend' | 'threads' | 'gpuOptions' | 'keepAwake'> {
  return { backend, threads, keepAwake, gpuOptions: { gpus, splitMode, tensorSplit, mainGpu } };
}
