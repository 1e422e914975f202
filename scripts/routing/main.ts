import { mkdtempDisposable } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { benchModel } from '../bench/models.ts';
import { runScript } from '../run-script.ts';
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

interface Run extends Figures {
  readonly seed: number;
  readonly system: string;
}

function letterOf(index: number): string {
  return String.fromCodePoint(97 + index);
}

function parseSeeds(text: string): readonly number[] {
  const seeds = text.split(',').map(Number);
  if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 1)) {
    throw new Error('--seeds takes whole numbers from 1 on');
  }
  return seeds;
}

function parseSystems(letters: string): typeof systems {
  const chosen = systems.filter((_, index) => letters.includes(letterOf(index)));
  if (chosen.length !== letters.length) throw new Error('--systems takes letters of the list, each once');
  return chosen;
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

await runScript({
  usage,
  numbers: { conversations: { default: 12, least: 1 }, seconds: { default: 45, least: 1 } },
  texts: {
    seeds: { default: '1', parse: parseSeeds },
    systems: { default: systems.map((_, index) => letterOf(index)).join(''), parse: parseSystems },
  },
  async run({ conversations: count, seconds, seeds, systems: chosen, json }, signal) {
    const say = (line: string) => void process.stderr.write(`${line}\n`);
    const model = await benchModel('smollm2', say);
    const runs: Run[] = [];
    for (const seed of seeds) {
      for (const { name, start } of chosen) {
        await using temporary = await mkdtempDisposable(join(tmpdir(), 'skein-routing-'));
        await using endpoint = await start({ model, directory: temporary.path, signal, say });
        const figures = await measure(endpoint, conversations({ seed, count, withinMs: 1000 * seconds }), signal);
        runs.push({ seed, system: name, ...figures });
        say(rowOf({ seed, system: name, ...figures }));
      }
    }
    const losses = lossesOf(runs);
    const text = json ? JSON.stringify({ runs, losses }) : [head, ...runs.map(rowOf), ...losses].join('\n');
    process.stdout.write(`${text}\n`);
    return losses.length === 0 ? 0 : 1;
  },
});
