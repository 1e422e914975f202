import type { Logprobs } from '@skein/protocol';

/**
 * Returns the log-probabilities of a token and of the `count` likeliest ones: the logarithm of the softmax over the
 * logits.
 */
export function logprobsOf(logits: Float32Array, token: number, count: number): Logprobs {
  let greatest = -Infinity;
  for (const logit of logits) if (logit > greatest) greatest = logit;
  let sum = 0;
  for (const logit of logits) sum += Math.exp(logit - greatest);
  const normalizer = greatest + Math.log(sum);
  const logprob = (of: number): number => {
    const value = (logits[of] ?? -Infinity) - normalizer;
    return value > leastLogprob ? value : leastLogprob;
  };
  return {
    token,
    logprob: logprob(token),
    top: likeliest(logits, count).map((other) => ({ token: other, logprob: logprob(other) })),
  };
}

/** Least log-probability, for impossible tokens and for logits that are no numbers: JSON has no infinity and no NaN. */
const leastLogprob = -9999;

function likeliest(logits: Float32Array, count: number): number[] {
  const top: number[] = [];
  const logit = (token: number | undefined): number => (token === undefined ? -Infinity : (logits[token] ?? -Infinity));
  if (count === 0) return top;
  for (let token = 0; token < logits.length; token += 1) {
    if (top.length === count && logit(token) <= logit(top.at(-1))) continue;
    let place = top.length;
    while (place > 0 && logit(top[place - 1]) < logit(token)) place -= 1;
    top.splice(place, 0, token);
    if (top.length > count) top.pop();
  }
  return top;
}
