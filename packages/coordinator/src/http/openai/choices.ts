import type { GenerationInput } from '@skein/protocol';

/** Choices of one request at most. */
export const maxChoices = 8;

/** The inputs of so many choices: the first is the one given, the others draw from seeds that follow from its seed. */
export function choicesOf(input: GenerationInput, count = 1): [GenerationInput, ...GenerationInput[]] {
  const { sampling } = input;
  const others = Array.from({ length: count - 1 }, (_, index) => ({
    ...input,
    sampling: { ...sampling, seed: choiceSeed(sampling.seed, index + 1) },
  }));
  return [input, ...others];
}

/**
 * An unsigned 32 bit integer. Mixed (MurmurHash3's finalizer), because the engine takes seeds and positions together: with
 * seeds that are neighbours one choice would draw at one position what another one draws at the next.
 */
function choiceSeed(seed: number, choice: number): number {
  let mixed = (seed + Math.imul(choice, 0x9e37_79b9)) >>> 0;
  mixed = Math.imul(mixed ^ (mixed >>> 16), 0x85eb_ca6b);
  mixed = Math.imul(mixed ^ (mixed >>> 13), 0xc2b2_ae35);
  return (mixed ^ (mixed >>> 16)) >>> 0;
}
