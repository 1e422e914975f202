import type { BenchReport } from '../bench-case.ts';
import { modelKeys } from '../models.ts';
import { shortNumber } from '../numbers.ts';
import type { Ratio } from '../statistics.ts';
import { markdownTable, tableOf } from '../tables.ts';
import { targets, type Target } from '../targets.ts';

const introduction = `# Benchmarks

<!-- Made by \`npm run bench -- report\` from the results in docs/benchmarks: change those, or the script. -->

All programs are real processes on one machine, one thread each and each pinned to a core of its own: peers are \`skein\` daemons, clients speak HTTP, and the rivals are llama.cpp's own \`llama-server\` and \`ggml-rpc-server\`, built from the very sources of the engine, with a CPU backend for each kind of processor, of which each program takes the best at its start, as the engine does. Each figure is the median of pairs that were measured one right after the other, in an order that alternates, after one that does not count; in brackets the least and the greatest. Prompts differ each time, so that no cache helps but where one is measured.`;

const explanation = `## What is compared

- **llama-server**: same model file, same context for each stream, one thread, greedy; prompt caching is off. Speed is tokens of all answers ÷ the time from the first request to the last token, prompts included.
- **llama.cpp RPC**: two \`ggml-rpc-server\` processes with the layers of our two stages; their \`llama-server\` computes nothing and runs on whichever core is free.
- **Ceiling**: two of our engines that know nothing of each other, each with the whole model on its own core, in a plain loop without HTTP and mesh; their speeds are added up. Two machines can't do more. It is compared with the speed while all answers are being written (\`steadyTokensPerSecond\`).
- **Speculation** is on beside rivals, as it is out of the box; the text is the same with and without. Where Skein is compared with the ceiling or with itself it is off: the work is then the same, token by token. Rows named \`skein\` of \`replica\` and \`pipeline\` have it on, but for the eight streams beside the ceiling.
- **Random weights** of the synthetic model cost what real ones cost, and say nothing: such a text neither copies nor repeats itself, so draft tokens gain nothing there.
- Both peers and the client share the two cores of one machine, so the network is a loopback: on real machines a hop costs the network's own time as well, and daemons, clients and engines have more room.`;

/** The explanation of missed targets by the profile and the ceilings; true of any CPU on which rows cost as they do here. */
const bounds = `## What limits the figures

- **One stream is on one machine at a time**, unless a draft token is right. Without draft tokens two stages can't be faster than one machine with the whole model, the \`ceiling\` of one stream, and RPC comes near to that where matrices are large: what \`pipeline1\` has beyond it are draft tokens, so it depends on how much a text repeats itself. That \`ceiling\` ÷ RPC is 1.1 for SmolLM2 and 1.6 for the synthetic model, whose text no draft token foresees.
- **Two rows cost as much as two times one** in llama.cpp's matrix kernels for these formats, four about three times and sixteen nine to ten times. Four streams over two stages make micro-batches of two rows where RPC computes all four at once. The \`ceiling\` of four streams ÷ RPC's speed, 1.78 with SmolLM2, is all that \`pipeline4\` could have; with the time that daemons and the client take on the same cores, 1.2 ms a token where two bare engines take 10.6, it is 1.6.
- **Balanced for answers, not for prompts.** Stages are cut so that each takes as long for a token that is drawn, and the tail draws it: SmolLM2's vocabulary is as much work as six of its 30 layers. A prompt's rows are not drawn after, so of 18 + 12 layers the first stage has more to do, which sets a bound of 15 ÷ 18 = 0.83 for \`prefillPlanned\`. \`prefill\` is what a deployment with even stages has (\`skein deploy --layers 15,15\`), as who mostly reads long prompts would have it. The tail's wait for the first tile and the rows behind the last one (decision 6) take the rest.
- **A draft token costs a row.** With sixteen rows for the price of ten, an answer that is drafted right throughout is 1.6 times as fast. Random weights copy nothing, so the synthetic model has nothing to gain.
- **Daemon and engine share a core** here. Each token wakes the daemon after the engine's weights have passed through all caches; \`npm run bench -- profile\` says what that takes. A bare engine has neither HTTP nor a mesh. One token of the synthetic model on one peer, 33.2 ms by CPU profiles: decode 32.0 (in a bare loop 31), scheduling and text 0.2, sampling 0.06, frames and garbage in the engine 0.1; in the daemon 0.8, of which streams and routing 0.3, writes to pipe and socket 0.15, frames and schemas 0.12, HTTP 0.06, timers, garbage and the rest of Node 0.17; encryption none, since nothing leaves the machine; waiting less than 0.1. llama-server takes 31.3 for all of it in one process, as much as our decoding in a bare loop: that is why \`replica1@synthetic\` stays below 1.
- **Sequences share one cache** (decision 7), and attention passes over the cells of all others that run: one row beside 1,024 and 2,048 such cells takes 0.4 and 0.9 ms longer with SmolLM2, 1.3 and 2.4 ms with the synthetic model. Sixteen streams have 360 of them on average, 7 ms of a step of 280: that is what \`replica16@synthetic\` lacks. llama-server gives each stream a part of the context of its own.
- **A hop is waited for.** Where two micro-batches fill two stages, the time between them, pipes and encryption, is added to each stage's own: a larger share the smaller the model is.
- **Where a token's time goes**: one stream over two stages of SmolLM2, without draft tokens, 14.7 ms a token; by CPU profiles of all four processes, in ms: decode 6.0 and 6.1 (one engine alone with the whole model: 10.9), pipes between engine and daemon 0.6 and 0.4, sampling 0.1, scheduling and text 0.07, frames, schemas and garbage in the engines 0.2; in the daemons encryption 0.09 and 0.16, libp2p and Yamux 0.10 and 0.13, sockets 0.19 and 0.08, frames 0.07 and 0.03, HTTP 0.05, Node and garbage 0.15 and 0.09. What is left to wait for is less than 0.3. With RPC's one token in 12.5 ms, \`pipeline1\` without draft tokens can't be above 1.15 however fast all but decode is.
- **Half of a daemon is Node itself**, and nearly half of an engine beside its weights: pages of the binary that have been used. Decision 8 says what the rest is.`;

const reproduction = `## How to reproduce

On Linux with two cores at least that nothing else uses, git, cmake and a C++ compiler:

\`\`\`sh
npm ci
npm run bench:rivals                                                  # once, about ten minutes
npm run --silent bench -- pipeline --json > docs/benchmarks/pipeline.json   # likewise each other case
npm run bench -- report                                               # this page
\`\`\`

\`npm run bench -- --help\` lists the cases.`;

/** Returns the page of all results. */
export function benchmarksPage(reports: readonly BenchReport[]): string {
  const machines = [...new Set(reports.map(({ machine }) => machine))].map((machine) => `Machine: ${machine}.`);
  const models =
    '`smollm2` is SmolLM2-135M, `synthetic` a Llama of random weights in the shape of TinyLlama 1.1B, in Q4_0: it costs what a real one costs.';
  const figures = reports.map(({ case: name, rows }) => {
    const { columns, cells } = tableOf(rows);
    return `### ${name}\n\n${markdownTable(columns, cells)}`;
  });
  return [
    introduction,
    [...machines, ...kernelLines(reports), models].join('\n\n'),
    ratiosTable(reports),
    explanation,
    bounds,
    '## The figures behind them\n\nMedians.',
    ...figures,
    reproduction,
    '',
  ].join('\n\n');
}

/** Returns a sentence with the CPU backends that each program took; none where they were not noted. */
function kernelLines(reports: readonly BenchReport[]): string[] {
  const found = new Map<string, Set<string>>();
  for (const [program, variants] of reports.flatMap(({ kernels = {} }) => Object.entries(kernels)))
    found.set(program, new Set([...(found.get(program) ?? []), ...variants]));
  if (found.size === 0) return [];
  const parts = [...found].map(([program, variants]) => `${program} ${[...variants].sort().join(' or ')}`);
  return [`CPU backends that were taken: ${parts.join(', ')}.`];
}

function ratiosTable(reports: readonly BenchReport[]): string {
  const ratios = new Map(reports.flatMap((report) => Object.entries(report.ratios)));
  const cells = [...targets]
    .map(([name, target]) => {
      const values = modelKeys.map((key, index) => ratios.get(index === 0 ? name : `${name}@${key}`));
      return { name, target, values };
    })
    .filter(({ values }) => values.some((value) => value !== undefined))
    .map(({ name, target, values }) => [
      `\`${name}\``,
      target.meaning,
      boundText(target),
      ...values.map((value) => ratioText(value, target)),
    ]);
  return markdownTable(['ratio', 'what', 'target', ...modelKeys], cells);
}

function boundText({ bound }: Target): string {
  if (bound === undefined) return '–';
  return 'atLeast' in bound ? `≥ ${bound.atLeast}` : `≤ ${bound.atMost}`;
}

function ratioText(ratio: Ratio | undefined, { bound }: Target): string {
  if (ratio === undefined) return '';
  const isMissed =
    bound !== undefined && ('atLeast' in bound ? ratio.median < bound.atLeast : ratio.median > bound.atMost);
  const text = `${shortNumber(ratio.median)} (${shortNumber(ratio.min)} to ${shortNumber(ratio.max)})`;
  return isMissed ? `${text}, missed` : text;
}
