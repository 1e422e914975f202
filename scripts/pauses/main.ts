import { benchModel } from '../bench/models.ts';
import { summarize, type Summary } from '../detection/summary.ts';
import { runScript } from '../run-script.ts';
import { measurePauses } from './measure.ts';
import { pauseCases, type PauseSample } from './pause.ts';

const usage = `Measures how long the reader of an answer waits when what computes it is killed or drained, on SmolLM2, with a
coordinator and two peers of one thread each on this machine. Linux only.
usage: npm run pauses [-- --rounds <count>] [--json]
  --rounds  default 10
  --json    print one JSON object, and nothing else, on stdout: for each case { pauseMs, toldMs, replayMs }, each
            { p50, p95, max, n }. pauseMs is what the reader saw, toldMs what the usage said, replayMs the time that an
            idle replica takes to read as much: the rest of the pause is detection, choice and loading`;
const { stdout, stderr } = process;

/** Summarizes the samples of one case. */
function summarized(samples: readonly PauseSample[]): Readonly<Record<keyof PauseSample, Summary | undefined>> {
  const told = samples.flatMap(({ toldMs }) => toldMs ?? []);
  return {
    pauseMs: summarize(samples.map(({ pauseMs }) => pauseMs)),
    toldMs: told.length === 0 ? undefined : summarize(told),
    replayMs: summarize(samples.map(({ replayMs }) => replayMs)),
  };
}

await runScript({
  usage,
  numbers: { rounds: { default: 10, least: 1 } },
  async run({ rounds, json }, signal) {
    const samples = await measurePauses({
      rounds,
      cases: pauseCases,
      model: await benchModel('smollm2', (line) => stderr.write(`${line}\n`)),
      signal,
      onSample: ({ title }, { pauseMs, replayMs }) =>
        stderr.write(`${title}: ${pauseMs} ms, of which ${replayMs} ms to read as much again\n`),
    });
    const results = pauseCases.map(({ key, title }) => ({ key, title, ...summarized(samples.get(key) ?? []) }));
    if (json) {
      const byCase = results.map(({ key, title: _title, ...figures }) => [key, figures] as const);
      stdout.write(`${JSON.stringify(Object.fromEntries(byCase))}\n`);
    } else {
      for (const { title, pauseMs, replayMs } of results) {
        const shown = pauseMs && `p50 ${pauseMs.p50} ms, p95 ${pauseMs.p95} ms, max ${pauseMs.max} ms (n ${pauseMs.n})`;
        stdout.write(`${title.padEnd(46)} ${shown}; reading alone p50 ${replayMs?.p50} ms\n`);
      }
    }
    return 0;
  },
});
