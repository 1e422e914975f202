import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { join } from 'node:path';

import { Interruption } from '../../packages/cli/src/process/interruption.ts';
import { benchModel } from '../bench/models.ts';
import { conversations } from './conversations.ts';
import { measure, type Figures } from './measure.ts';
import { llamaServersByConnections, llamaServersByTurns, skeinsByTurns } from './systems/haproxy.ts';
import { skein } from './systems/skein.ts';

const systems = [skein, skeinsByTurns, llamaServersByTurns, llamaServersByConnections];

const usage = `Compares routers before three real engines of SmolLM2-135M: Skein's own, and Debian's HAProxy. Conversations of three turns
share a dozen system prompts of 2 KB. Needs Linux, npm run bench:rivals, and a machine that does nothing else.
usage: npm run routing [-- --seeds <numbers>] [--conversations <count>] [--seconds <count>] [--systems <letters>] [--json]
options:
  --seeds          of conversations and of when they begin, with commas; default 1. A seed takes about 7 minutes
  --conversations  default 12: two cores serve about twice as many
  --seconds        in which they begin; default 45
  --systems        those to measure; default ${systems.map((_, index) => letterOf(index)).join('')}:
${systems.map(({ name }, index) => `                     ${letterOf(index)} ${name}`).join('\n')}
  --json           print { runs: [{ seed, system, requests, ttftMs: { p50, p95, max, n }, cachedShare, seconds }], losses }
The exit code is 1 where another system has a lower p95 of the time to the first token than Skein, or finds more in its caches.`;

const { stdout, stderr } = process;

interface Run extends Figures {
  readonly seed: number;
  readonly system: string;
}

interface Wanted {
  readonly seeds: readonly number[];
  readonly count: number;
  readonly withinMs: number;
  readonly chosen: typeof systems;
  readonly json: boolean;
}

function letterOf(index: number): string {
  return String.fromCodePoint(97 + index);
}

/** Parses the command line; returns undefined when help is asked for. Throws an error that names the problem. */
function parse(): Wanted | undefined {
  const { values } = parseArgs({
    options: {
      seeds: { type: 'string', default: '1' },
      conversations: { type: 'string', default: '12' },
      seconds: { type: 'string', default: '45' },
      systems: { type: 'string', default: systems.map((_, index) => letterOf(index)).join('') },
      json: { type: 'boolean', default: false },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  const whole = (name: string, text: string): number => {
    const value = Number(text);
    if (!Number.isSafeInteger(value) || value < 1) throw new Error(`--${name} takes whole numbers from 1 on`);
    return value;
  };
  const chosen = systems.filter((_, index) => values.systems.includes(letterOf(index)));
  if (chosen.length !== values.systems.length) throw new Error('--systems takes letters of the list, each once');
  return {
    seeds: values.seeds.split(',').map((seed) => whole('seeds', seed)),
    count: whole('conversations', values.conversations),
    withinMs: 1000 * whole('seconds', values.seconds),
    chosen,
    json: values.json,
  };
}

async function run({ seeds, count, withinMs, chosen, json }: Wanted): Promise<number> {
  using interruption = new Interruption({
    process,
    exit: (code) => process.exit(code),
    nowMs: () => performance.now(),
    onInterrupt: () => stderr.write('\nstopping everything; press Ctrl-C again to end at once\n'),
  });
  const { signal } = interruption;
  const say = (line: string) => void stderr.write(`${line}\n`);
  try {
    const model = await benchModel('smollm2', say);
    const runs: Run[] = [];
    for (const seed of seeds) {
      for (const { name, start } of chosen) {
        await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-routing-'));
        await using endpoint = await start({ model, directory: temporary.path, signal, say });
        const figures = await measure(endpoint, conversations({ seed, count, withinMs }), signal);
        runs.push({ seed, system: name, ...figures });
        say(rowOf({ seed, system: name, ...figures }));
      }
    }
    const losses = lossesOf(runs);
    if (json) stdout.write(`${JSON.stringify({ runs, losses })}\n`);
    else stdout.write(`${[head, ...runs.map(rowOf), ...losses].join('\n')}\n`);
    return losses.length === 0 ? 0 : 1;
  } catch (error) {
    if (interruption.exitCode !== undefined) return interruption.exitCode;
    stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}

const head = '| seed | system | p50 TTFT ms | p95 TTFT ms | cached |\n| --- | --- | --- | --- | --- |';

function rowOf({ seed, system, ttftMs, cachedShare }: Run): string {
  return `| ${[seed, system, ttftMs.p50, ttftMs.p95, `${(100 * cachedShare).toFixed(1)} %`].join(' | ')} |`;
}

/** Lists the figures in which another system is better than Skein. */
function lossesOf(runs: readonly Run[]): readonly string[] {
  return runs
    .filter(({ system }) => system === skein.name)
    .flatMap(({ seed, ttftMs, cachedShare }) => {
      const others = runs.filter((other) => other.seed === seed && other.system !== skein.name);
      return others.flatMap((other) => [
        ...(other.ttftMs.p95 < ttftMs.p95 ? [`seed ${seed}: ${other.system} has the lower p95`] : []),
        ...(other.cachedShare > cachedShare ? [`seed ${seed}: ${other.system} finds more in its caches`] : []),
      ]);
    });
}

try {
  const wanted = parse();
  if (wanted === undefined) stdout.write(`${usage}\n`);
  else process.exitCode = await run(wanted);
} catch (error) {
  stderr.write(`error: ${error instanceof Error ? error.message : String(error)}\n${usage}\n`);
  process.exitCode = 2;
}
