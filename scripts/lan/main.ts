import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { parseArgs } from 'node:util';

import { onAbort } from '@skein/protocol';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { createLan } from './lan.ts';
import { pathOf } from './namespaces.ts';

const usage = `Hosts on a network of their own, to try things by hand. Needs root.
usage: node scripts/launch.js scripts/lan/main.ts [--hosts <count>] [--mbit <bandwidth>] -- <command> [arguments …]
  --hosts  default 2
  --mbit   what each host's cable carries, in 10⁶ bits a second; default: as much as the machine can
The command, by default a shell, runs in the first host. When it ends, everything is removed.`;

interface Command {
  readonly hosts: number;
  readonly mbit: number | undefined;
  readonly command: string;
  readonly commandLine: readonly string[];
}

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse(): Command | undefined {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: {
      hosts: { type: 'string', default: '2' },
      mbit: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  const mbit = values.mbit === undefined ? undefined : Number(values.mbit);
  if (mbit !== undefined && !(mbit > 0)) throw new Error('--mbit takes a number above 0');
  const [command = process.env['SHELL'] ?? 'sh', ...commandLine] = positionals;
  return { hosts: Number(values.hosts), mbit, command, commandLine };
}

async function run({ hosts, mbit, command, commandLine }: Command): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
  });
  await using lan = await createLan({ hosts });
  for (const [index, host] of lan.hosts.entries()) {
    if (mbit !== undefined) await host.setBandwidth(mbit);
    process.stderr.write(`host ${index} is ${host.address}; to enter it: nsenter --net=${pathOf(host.name)}\n`);
  }
  const child = spawn(...lan.host(0).enter(command, commandLine), { stdio: 'inherit' });
  // A terminal's Ctrl-C reaches the command by itself, which may want to go on.
  using _abort = onAbort(interruption.signal, () => child.kill('SIGTERM'));
  const [code] = (await once(child, 'close')) as [number | null];
  return interruption.exitCode ?? code ?? 1;
}

function fail(error: unknown, exitCode: number): void {
  process.stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
  if (exitCode === 2) process.stderr.write(`${usage}\n`);
  process.exitCode = exitCode;
}

try {
  const command = parse();
  if (command === undefined) process.stdout.write(`${usage}\n`);
  else {
    await run(command).then(
      (exitCode) => (process.exitCode = exitCode),
      (error: unknown) => fail(error, 1),
    );
  }
} catch (error) {
  fail(error, 2);
}
