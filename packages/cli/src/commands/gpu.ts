import { examineGpus, findRuntime, installRuntime, type BackendReport } from '@skein/node';
import { formatBytes, SkeinError } from '@skein/protocol';
import type { Command } from 'commander';

import { counted, formatTable, printable } from '../output/format.ts';
import { ifSlow, slowSearch } from '../output/if-slow.ts';
import { exitCodes } from '../process/exit-codes.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData, openData } from '../program/data-options.ts';
import { Verdict } from '../program/verdict.ts';

interface GpuFlags {
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein gpu                   lists the GPUs that Skein can use, by number, and what is missing
  $ skein gpu setup             fetches what an NVIDIA GPU needs beside its driver

Ends with 1 when this machine seems to have a GPU that Skein can't use.`;

/** Adds the command `skein gpu` to the program. */
export function registerGpu(program: Command, context: CommandContext): void {
  const command = program
    .command('gpu')
    .description('List the GPUs of this machine, and what is missing to use them.')
    .option('--json', 'print what was found as JSON')
    .addHelpText('after', examples)
    .action(async (flags: GpuFlags) => {
      const { directory } = await findData(command);
      const runtimeDirectory = await findRuntime(directory);
      const reports = await examine(runtimeDirectory, context);
      if (flags.json === true) printJson(context.stdout, { backends: reports, runtimeDirectory });
      else for (const line of describeReports(reports, runtimeDirectory)) printLine(context.stdout, line);
      if (isLacking(reports)) throw new Verdict(exitCodes.failed);
    });
  const setup = command
    .command('setup')
    .description(
      "Fetch NVIDIA's runtime libraries with this machine's pip into the data directory, where Skein finds them.",
    )
    .option('--json', 'print what was done as JSON')
    .action(async () => {
      const { directory } = await openData(setup);
      const result = await setUp(directory, context);
      // The flag is one of `skein gpu`, too, which takes it wherever it stands.
      if (setup.optsWithGlobals<GpuFlags>().json === true) printJson(context.stdout, result);
      else for (const line of describeSetup(result)) printLine(context.stdout, line);
    });
}

/** A machine on which CUDA has all that it needs. */
interface SetupResult {
  /** Whether NVIDIA's runtime libraries were fetched: false where nothing was missing. */
  readonly hasFetched: boolean;
  /** Their directory; absent where the system has them. */
  readonly runtimeDirectory?: string | undefined;
  readonly gpus: BackendReport['gpus'];
}

async function setUp(directory: string, context: CommandContext): Promise<SetupResult> {
  const { stderr, signal } = context;
  const present = await findRuntime(directory);
  const before = await examineCuda(present, context);
  const { problem } = before;
  if (problem === undefined) return { hasFetched: false, runtimeDirectory: present, gpus: before.gpus };
  if (problem.lacksRuntime !== true) {
    const { reason, fix } = problem;
    throw new SkeinError('engine-incompatible', `cuda can't be set up here: ${reason}; ${fix}`);
  }
  let fetched: string | undefined;
  const runtimeDirectory = await installRuntime(directory, {
    signal,
    onProgress: (progress) => {
      if (progress.package !== fetched) printLine(stderr, `fetching ${progress.package} with pip`);
      fetched = progress.package;
    },
  });
  const after = await examineCuda(runtimeDirectory, context);
  if (after.problem !== undefined) {
    const { reason, fix } = after.problem;
    throw new SkeinError('engine-incompatible', `cuda still has no GPU here: ${reason}; ${fix}`);
  }
  return { hasFetched: true, runtimeDirectory, gpus: after.gpus };
}

function describeSetup({ hasFetched, runtimeDirectory, gpus }: SetupResult): readonly string[] {
  if (!hasFetched) return [`Nothing is missing: ${counted(gpus.length, 'GPU computes', 'GPUs compute')} by cuda.`];
  const names = gpus.map(({ name }) => printable(name)).join(', ');
  return [
    `NVIDIA's runtime libraries lie in ${runtimeDirectory}.`,
    `Skein now computes on ${names}. Stop it and start it again where it runs.`,
  ];
}

async function examine(
  runtimeDirectory: string | undefined,
  { stderr, signal }: CommandContext,
): Promise<readonly BackendReport[]> {
  using _slow = ifSlow(stderr, slowSearch);
  return await examineGpus(runtimeDirectory, { signal });
}

async function examineCuda(runtimeDirectory: string | undefined, context: CommandContext): Promise<BackendReport> {
  const report = (await examine(runtimeDirectory, context)).find(({ backend }) => backend === 'cuda');
  if (report !== undefined) return report;
  throw new SkeinError('engine-incompatible', 'this platform has no CUDA; `skein gpu` lists what it has');
}

/** Tells whether this machine seems to have a GPU that is not used as it could be. */
export function isLacking(reports: readonly BackendReport[]): boolean {
  return reports.some(({ problem }) => problem?.isAmiss === true);
}

/** Formats what was found, for people. */
export function describeReports(
  reports: readonly BackendReport[],
  runtimeDirectory: string | undefined,
): readonly string[] {
  const used = reports.find(({ gpus }) => gpus.length > 0);
  return [
    used === undefined
      ? 'The CPU computes here: no backend has a GPU.'
      : `With --backend auto Skein computes by ${used.backend}.`,
    ...(runtimeDirectory === undefined ? [] : [`NVIDIA's runtime libraries lie in ${runtimeDirectory}.`]),
    ...reports.flatMap(describeReport),
  ];
}

function describeReport({ backend, gpus, usesFallback, software, problem }: BackendReport): readonly string[] {
  const found = software === undefined ? [] : [`  ${describeSoftware(software)}`];
  if (problem !== undefined) {
    const { reason, fix } = problem;
    return ['', `${backend}: no GPU, since ${printable(reason)}`, ...found, `  to use one, ${fix}`];
  }
  const rows = gpus.map(({ name, memoryBytes, freeMemoryBytes, sharesMainMemory }, index) => [
    `  ${index}`,
    name,
    `${formatBytes(freeMemoryBytes)} of ${formatBytes(memoryBytes)} free`,
    sharesMainMemory ? 'main memory' : '',
  ]);
  const build = usesFallback ? ', by its older build' : '';
  return ['', `${backend}: ${counted(gpus.length, 'GPU', 'GPUs')}${build}`, ...found, formatTable(rows)];
}

function describeSoftware({ driver = 'none', runtimes }: NonNullable<BackendReport['software']>): string {
  const runtime = runtimes === undefined ? '' : `; runtime: ${runtimes.join(', ') || 'none'}`;
  return printable(`driver: ${driver}${runtime}`);
}
