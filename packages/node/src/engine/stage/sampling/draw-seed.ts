/**
 * Returns the seed of one token's random draw, from the sequence's seed and the token's position in the sequence.
 * Nothing else enters, so a sequence that is replayed on other machines continues exactly as it would have.
 *
 * The finalizer of MurmurHash3 (32 bit): neighbouring positions give unrelated seeds.
 */
export function drawSeed(seed: number, position: number): number {
  let hash = (seed ^ Math.imul(position, 0x9e37_79b9)) >>> 0;
  hash = Math.imul(hash ^ (hash >>> 16), 0x85eb_ca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
