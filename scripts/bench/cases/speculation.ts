import type { BenchCase, CaseContext, CaseResult } from '../bench-case.ts';
import { complete, decodeMsPerToken, type Completion, type Prompt } from '../completion.ts';
import type { BenchModel } from '../models.ts';
import { startMesh, type BenchMesh } from '../processes/mesh.ts';
import { moveToCores } from '../processes/own-cores.ts';
import { newTokens } from '../prompts.ts';
import { measureRounds } from '../rounds.ts';
import { median, ratioOf } from '../statistics.ts';

/** Measures the gain of draft tokens where an answer repeats its prompt, and their cost where it does not. */
export const speculation: BenchCase = {
  summary: 'one stream with speculation against the same without: an answer that copies its prompt, and prose',
  async run(context) {
    await moveToCores([1]);
    await using mesh = await startMesh([0], context);
    const copy = await compare(mesh, { kind: 'Copy', prompt: copyPrompt, context });
    const prose = await compare(mesh, { kind: 'Prose', prompt: prosePrompt, context });
    return {
      ratios: { ...copy.ratios, ...prose.ratios },
      rows: [...copy.rows, ...prose.rows],
      failures: [...(copy.failures ?? []), ...(prose.failures ?? [])],
    };
  },
};

interface CompareOptions {
  readonly kind: 'Copy' | 'Prose';
  /** Makes the prompt, another one each round. */
  readonly prompt: (model: BenchModel, round: number) => Prompt;
  readonly context: CaseContext;
}

async function compare(mesh: BenchMesh, { kind, prompt, context }: CompareOptions): Promise<CaseResult> {
  const { model, rounds, signal } = context;
  const { endpoint } = mesh;
  const maxTokens = model.key === 'synthetic' ? 48 : 128;
  const prompts = Array.from({ length: rounds + 1 }, (_, round) => prompt(model, round));
  const ask = (speculation: boolean) => async (round: number) => {
    // Sequences in the cache decide where a text's cells lie, and so in which order attention adds them up.
    await using _deployment = await mesh.deploy({ contextTokens: 4096, sequences: 2 });
    return await complete(
      { ...endpoint, parameters: { ...endpoint.parameters, speculation } },
      { prompt: prompts[round] ?? '', maxTokens, signal },
    );
  };
  const measured = await measureRounds(
    { speculation: ask(true), 'one by one': ask(false) },
    { ...context, describe: (answer) => `${kind.toLowerCase()}, ${speedOf(answer).toFixed(1)} tok/s` },
  );
  const { speculation: drafted, 'one by one': plain } = measured;
  const equal = drafted.filter(({ text }, index) => text === plain[index]?.text).length;
  return {
    ratios: { [`speculation${kind}`]: ratioOf(drafted.map(speedOf), plain.map(speedOf)) },
    rows: Object.entries(measured).map(([what, answers]) => ({
      what: `${kind.toLowerCase()}, ${what}`,
      tokensPerSecond: median(answers.map(speedOf)),
      completionTokens: median(answers.map(({ completionTokens }) => completionTokens)),
      sameText: `${equal} of ${rounds}`,
    })),
    failures: equal === rounds ? [] : [`${kind}: ${rounds - equal} of ${rounds} texts differ with speculation`],
  };
}

const speedOf = (answer: Completion) => 1000 / decodeMsPerToken(answer);

const passage = (round: number) =>
  `The ferry number ${round + 3} leaves the northern pier at seven in the morning and comes back before noon. Whoever ` +
  'brings a bicycle pays two crowns more. Dogs travel free of charge when they are kept on a leash. In heavy fog the ' +
  'captain may wait, and the office tells the school and the market by radio.\n\n';

/** Makes a text that occurs three times and begins a fourth: even a small model continues it word for word. */
function copyPrompt({ key }: BenchModel, round: number): Prompt {
  if (key === 'smollm2') return `${passage(round).repeat(3)}The ferry`;
  // Random weights copy nothing, whatever they are asked.
  const tokens = newTokens(64);
  return [...tokens, ...tokens, ...tokens.slice(0, 8)];
}

function prosePrompt({ key }: BenchModel, round: number): Prompt {
  if (key === 'smollm2') return `In the year ${1820 + round}, a young clockmaker from a small village in the mountains`;
  return newTokens(16);
}
