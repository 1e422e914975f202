import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { runScript } from '../run-script.ts';
import { quickstart, type QuickstartResult } from './quickstart.ts';

const usage = `A private LLM service of four processes on this machine, in a minute.
usage: npm run quickstart [-- --json]
  --json  print one JSON object, and nothing else, on stdout`;

function summary({ tokensPerSecond, ttftMs, identicalToWholeModel }: QuickstartResult): string {
  const same = identicalToWholeModel ? 'is the same text, to the letter' : 'DIFFERS from it';
  return `${tokensPerSecond} tokens a second, the first after ${ttftMs} ms; what the whole model on one peer says ${same}`;
}

await runScript({
  usage,
  async run({ json }, signal) {
    const { stdout, stderr } = process;
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
    await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-quickstart-'));
    const result = await quickstart({ directory: temporary.path, signal, say, onText });
    if (json) stdout.write(`${JSON.stringify(result)}\n`);
    else say(summary(result));
    say(`done in ${Math.round((performance.now() - startedMs) / 1000)} s`);
    return 0;
  },
});
