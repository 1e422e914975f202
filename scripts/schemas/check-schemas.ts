import { isSkeinError } from '@skein/protocol';

import { checkGrammar } from '../../packages/node/src/engine/stage/sampling/grammar/grammar.ts';
import { seededRandom, type Random } from '../fixtures/random.ts';
import { examineInstances, follows, invalidWalks, treat, type Treatment } from './examine.ts';
import type { Example } from './examples.ts';
import { AnswerSampler } from './sampler.ts';
import { validatorOf, type Validate } from './validator.ts';

export interface CheckOptions {
  /** Number of followed schemas for which an engine answers, drawn at random; the other checks go over all. */
  readonly count: number;
  /** Number of finished answers for each of them. */
  readonly answers: number;
  readonly seed: number;
  /** Number of random texts of each grammar, drawn without an engine. */
  readonly walks: number;
}

export interface CheckResult {
  readonly schemas: number;
  readonly followed: number;
  readonly refused: number;
  /** Refused schemas by the keyword at fault, most frequent first. */
  readonly refusedBy: Readonly<Record<string, number>>;
  /** Number of followed schemas that Ajv can't take, which are not checked. */
  readonly withoutValidator: number;
  readonly instances: {
    validAccepted: number;
    validRefused: number;
    invalidRefused: number;
    invalidAccepted: number;
  };
  walks: number;
  readonly answers: { sampledSchemas: number; finished: number; unfinished: number; invalid: number };
  /** Texts that a grammar derives and that don't follow their schema. There must be none. */
  readonly wrong: { readonly schema: string; readonly check: 'instance' | 'walk' | 'answer'; readonly text: string }[];
}

/** Entry among the keywords at fault for schemas whose grammar is too large. */
const tooLarge = 'size of its grammar';

/** Attempts for each wanted answer: answers that are too long for the sampler don't count. */
const attemptsPerAnswer = 4;

interface Followed {
  readonly example: Example;
  readonly treatment: Extract<Treatment, { type: 'followed' }>;
  readonly validate: Validate;
}

/** Checks that every text of a grammar follows its schema: values that came with it, random walks, an engine's answers. */
export async function checkSchemas(
  examples: readonly Example[],
  { count, answers, seed, walks }: CheckOptions,
): Promise<CheckResult> {
  const treated = examples.map((example) => ({ example, treatment: treat(example.schema) }));
  const followed: Followed[] = [];
  const refusedBy = new Map<string, number>();
  let withoutValidator = 0;
  for (const { example, treatment } of treated) {
    if (treatment.type === 'refused') {
      const keyword = keywordOf(treatment.param);
      refusedBy.set(keyword, (refusedBy.get(keyword) ?? 0) + 1);
      continue;
    }
    if (!isWithinBounds(treatment.gbnf)) {
      refusedBy.set(tooLarge, (refusedBy.get(tooLarge) ?? 0) + 1);
      continue;
    }
    const validate = validatorOf(example.schema);
    if (validate === undefined) withoutValidator += 1;
    else followed.push({ example, treatment, validate });
  }
  const refused = [...refusedBy.values()].reduce((sum, number) => sum + number, 0);
  const result: CheckResult = {
    schemas: examples.length,
    followed: examples.length - refused,
    refused,
    refusedBy: Object.fromEntries([...refusedBy].sort(([, left], [, right]) => right - left)),
    withoutValidator,
    instances: { validAccepted: 0, validRefused: 0, invalidRefused: 0, invalidAccepted: 0 },
    walks: 0,
    answers: { sampledSchemas: 0, finished: 0, unfinished: 0, invalid: 0 },
    wrong: [],
  };
  for (const each of followed) checkDerived(each, { walks, seed }, result);
  const chosen = shuffled(followed, seededRandom(seed)).slice(0, count);
  await checkAnswers(chosen, { answers, seed }, result);
  return result;
}

/** Tells whether a lead accepts the grammar; where it does not, it tells its caller that the schema is too large. */
function isWithinBounds(gbnf: string): boolean {
  try {
    checkGrammar(gbnf);
    return true;
  } catch (error) {
    if (isSkeinError(error) && error.code === 'invalid-request') return false;
    throw error;
  }
}

function keywordOf(param: string): string {
  const path = param.replace('response_format.json_schema.schema', '');
  return /\["[^"]*"\]$|[\w$-]+$/.exec(path.replace(/(\[\d+\])+$/, ''))?.[0] ?? 'the whole schema';
}

function checkDerived(
  { example, treatment: { grammar }, validate }: Followed,
  options: { readonly walks: number; readonly seed: number },
  result: CheckResult,
): void {
  const counts = examineInstances(grammar, example, validate);
  result.instances.validAccepted += counts.validAccepted;
  result.instances.validRefused += counts.validRefused;
  result.instances.invalidRefused += counts.invalidRefused;
  result.instances.invalidAccepted += counts.invalidAccepted.length;
  for (const text of counts.invalidAccepted) result.wrong.push({ schema: example.name, check: 'instance', text });
  result.walks += options.walks;
  for (const text of invalidWalks(grammar, validate, options)) {
    result.wrong.push({ schema: example.name, check: 'walk', text });
  }
}

async function checkAnswers(
  chosen: readonly Followed[],
  { answers, seed }: { readonly answers: number; readonly seed: number },
  { answers: counts, wrong }: CheckResult,
): Promise<void> {
  if (chosen.length === 0 || answers === 0) return;
  await using sampler = await AnswerSampler.start();
  for (const { example, treatment, validate } of chosen) {
    counts.sampledSchemas += 1;
    let finished = 0;
    for (let attempt = 0; finished < answers && attempt < answers * attemptsPerAnswer; attempt += 1) {
      const text = await sampler.answer(treatment.gbnf, seed + attempt);
      if (text === undefined) {
        counts.unfinished += 1;
        continue;
      }
      finished += 1;
      counts.finished += 1;
      if (follows(text, validate)) continue;
      counts.invalid += 1;
      wrong.push({ schema: example.name, check: 'answer', text });
    }
  }
}

function shuffled<Item>(items: readonly Item[], random: Random): Item[] {
  return items
    .map((item) => ({ item, order: random.uniform() }))
    .sort((left, right) => left.order - right.order)
    .map(({ item }) => item);
}
