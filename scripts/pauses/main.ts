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
            idle replica takes to read as much, which the pause contains where nobody has read it along`;
const { stdout, stderr } = process;

/** Summarizes the samples of one case. */
function summarized(samples: readonly PauseSample[]): Readonly<Record<keyof PauseSample, Summary | undefined>> {
  if (samples.length === 0) return { pauseMs: undefined, toldMs: undefined, replayMs: undefined };
  return {
    pauseMs: summarize(samples.map(({ pauseMs }) => pauseMs)),
    toldMs: summarize(samples.map(({ toldMs }) => toldMs)),
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
      onSample: ({ title }, sample) => {
        const said = sample && `${sample.pauseMs} ms, where an idle replica reads as much in ${sample.replayMs} ms`;
        stderr.write(`${title}: ${said ?? 'the answer ended before it was moved, and counts for nothing'}\n`);
      },
    });
    const results = pauseCases.map(({ key, title }) => ({ key, title, ...summarized(samples.get(key) ?? []) }));
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
