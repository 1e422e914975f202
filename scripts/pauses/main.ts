import { benchModel } from '../bench/models.ts';
import { summarize, type Summary } from '../detection/summary.ts';
import { runScript } from '../run-script.ts';
import { measurePauses } from './measure.ts';
import { pauseCases, type PauseSample } from './pause.ts';

const usage = `Measures how long the reader of an answer waits when what computes it is killed or drained, on SmolLM2, with a
coordinator and two peers on this machine, each peer with one thread and a processor of its own. Needs Linux, two
processors and taskset (package util-linux).
usage: npm run pauses [-- --rounds <count>] [--alone <count>] [--json]
  --rounds  samples of each drain, and of each loss with another replica left, which comes 1 to 5 s after the first text;
            default 5
  --alone   samples of each loss with no other replica left; default 1
  --json    print one JSON object, and nothing else, on stdout: for each case { pauseMs, toldMs, replayMs }, each
            { p50, p95, max, n }. pauseMs is what the reader saw, toldMs what the usage said (after a drain nothing),
            replayMs the time that an idle replica takes to read as much, once for each case: the pause contains it where
            nobody has read it along`;
const { stdout, stderr } = process;

/** Summarizes figures, where there are any. */
function summaryOf(figures: readonly number[]): Summary | undefined {
  return figures.length === 0 ? undefined : summarize(figures);
}

/** Summarizes the samples of one case. */
function summarized(samples: readonly PauseSample[]): Readonly<Record<keyof PauseSample, Summary | undefined>> {
  return {
    pauseMs: summaryOf(samples.map(({ pauseMs }) => pauseMs)),
    toldMs: summaryOf(samples.flatMap(({ toldMs }) => toldMs ?? [])),
    replayMs: summaryOf(samples.flatMap(({ replayMs }) => replayMs ?? [])),
  };
}

await runScript({
  usage,
  numbers: { rounds: { default: 5, least: 0 }, alone: { default: 1, least: 0 } },
  async run({ rounds, alone, json }, signal) {
    const cases = pauseCases.filter(({ isAlone }) => (isAlone ? alone : rounds) > 0);
    const samples = await measurePauses({
      roundsOf: ({ isAlone }) => (isAlone ? alone : rounds),
      cases,
      model: await benchModel('smollm2', (line) => stderr.write(`${line}\n`)),
      signal,
      onSample: ({ title }, sample) => {
        const said = sample && `${sample.pauseMs} ms`;
        stderr.write(`${title}: ${said ?? 'the answer ended before it was moved, and counts for nothing'}\n`);
      },
    });
    const results = cases.map(({ key, title }) => ({ key, title, ...summarized(samples.get(key) ?? []) }));
    if (json) {
      const byCase = results.map(({ key, title: _title, ...figures }) => [key, figures] as const);
      stdout.write(`${JSON.stringify(Object.fromEntries(byCase))}\n`);
    } else {
      for (const { title, pauseMs, replayMs } of results) {
        const shown = pauseMs && `p50 ${pauseMs.p50} ms, p95 ${pauseMs.p95} ms, max ${pauseMs.max} ms (n ${pauseMs.n})`;
        const alone = replayMs && `; reading alone p50 ${replayMs.p50} ms`;
        stdout.write(`${title.padEnd(46)} ${shown ?? 'no answer was moved'}${alone ?? ''}\n`);
      }
    }
    return 0;
  },
});
