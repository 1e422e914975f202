/** A replica's answer to the probe, and its earlier one. */
export interface CanaryAnswer {
  readonly deployment: string;
  /** Ids of the tokens, as a text. */
  readonly tokens: string;
  /** The first answer that it gave; undefined for one that is asked for the first time. */
  readonly earlier: string | undefined;
}

/**
 * A replica's standing. `sound`: nothing speaks against it. `doubted`: it or another one is wrong, and nobody knows which.
 * `out`: it is wrong.
 */
export type Verdict = 'sound' | 'doubted' | 'out';

/**
 * Judges replicas that must all answer alike, by their answers to one probe. The answer of more than half of them is
 * right. Where no answer has that, the one is that replicas have agreed on before, and else those are wrong that answer
 * otherwise than they did themselves. Where that tells nothing either, all are doubted. At least one replica always
 * stays.
 *
 * @param agreed answer that several replicas of this kind once agreed on; undefined when there is none
 */
export function judge(answers: readonly CanaryAnswer[], agreed: string | undefined): ReadonlyMap<string, Verdict> {
  const right = rightAnswer(answers, agreed);
  const isDisputed = new Set(answers.map(({ tokens }) => tokens)).size > 1;
  return new Map(answers.map((answer) => [answer.deployment, verdictOn(answer)]));

  function verdictOn({ tokens, earlier }: CanaryAnswer): Verdict {
    if (right !== undefined) return tokens === right ? 'sound' : 'out';
    const hasChanged = earlier !== undefined && earlier !== tokens;
    return isDisputed || hasChanged || (agreed !== undefined && agreed !== tokens) ? 'doubted' : 'sound';
  }
}

function rightAnswer(answers: readonly CanaryAnswer[], agreed: string | undefined): string | undefined {
  const counts = Map.groupBy(answers, ({ tokens }) => tokens);
  const [most] = [...counts].toSorted(([, one], [, other]) => other.length - one.length);
  // One replica alone is no majority: nobody agrees with it.
  if (most !== undefined && most[1].length > answers.length / 2 && answers.length > 1) return most[0];
  if (agreed !== undefined && counts.has(agreed)) return agreed;
  const steady = new Set(answers.filter(({ tokens, earlier }) => tokens === earlier).map(({ tokens }) => tokens));
  const others = answers.filter(({ tokens }) => !steady.has(tokens));
  const haveChanged = others.every(({ tokens, earlier }) => earlier !== undefined && earlier !== tokens);
  const [only] = steady;
  return steady.size === 1 && haveChanged ? only : undefined;
}
