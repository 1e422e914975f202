import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { quickstart, type QuickstartResult } from './quickstart.ts';

const usage = `A private LLM service of four processes on this machine, in a minute.
usage: npm run quickstart [-- --json]
  --json  print one JSON object, and nothing else, on stdout`;

const { stdout, stderr } = process;

function parse(): { readonly json: boolean; readonly help: boolean } | undefined {
  const options = { json: { type: 'boolean', default: false }, help: { type: 'boolean', default: false } } as const;
  try {
    return parseArgs({ options }).values;
  } catch (error) {
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
    return undefined;
  }
}

async function run(json: boolean): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  // Pieces of the answer stay on the line where it began.
  let isMidLine = false;
  const say = (line: string) => {
    (json ? stderr : stdout).write(`${isMidLine ? '\n' : ''}${line}\n`);
    isMidLine = false;
  };
  const onText = (text: string) => {
    if (json) return;
    stdout.write(text);
    isMidLine = true;
  };
  const startedMs = performance.now();
  try {
    await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-quickstart-'));
    const result = await quickstart({ directory: temporary.path, signal: interruption.signal, say, onText });
    if (json) stdout.write(`${JSON.stringify(result)}\n`);
    else say(summary(result));
    say(`done in ${Math.round((performance.now() - startedMs) / 1000)} s`);
    return 0;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: the quickstart failed: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

function summary({ tokensPerSecond, ttftMs, identicalToWholeModel }: QuickstartResult): string {
  const same = identicalToWholeModel ? 'is the same text, to the letter' : 'DIFFERS from it';
  return `${tokensPerSecond} tokens a second, the first after ${ttftMs} ms; what the whole model on one peer says ${same}`;
}

const flags = parse();
if (flags === undefined) process.exitCode = 2;
else if (flags.help) stdout.write(`${usage}\n`);
else process.exitCode = await run(flags.json);
