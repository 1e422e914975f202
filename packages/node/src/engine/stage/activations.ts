import { invariant, type Activations } from '@skein/protocol';

const greatestHalf = 65_504;

/** Bytes of one element of a hidden row. */
export const activationBytes: Readonly<Record<Activations, number>> = { f32: 4, f16: 2 };

/**
 * Encodes hidden rows for the wire. f16 keeps 11 bits of each number, and larger numbers than 65,504 are cut to that:
 * some models have a few such, so compare the answers before you choose f16.
 *
 * @param hidden little-endian f32; returned as it is for `f32`
 */
export function encodeActivations(hidden: Uint8Array, activations: Activations): Uint8Array {
  if (activations === 'f32') return hidden;
  const floats = new Float32Array(hidden.buffer, hidden.byteOffset, hidden.byteLength / activationBytes.f32);
  const halves = new Float16Array(floats.length);
  for (let index = 0; index < floats.length; index += 1) {
    const float = invariant(floats[index], 'a row has all its elements');
    halves[index] = Math.max(-greatestHalf, Math.min(greatestHalf, float));
  }
  return new Uint8Array(halves.buffer);
}

/** Decodes hidden rows from the wire into the form that llama.cpp takes: little-endian f32. */
export function decodeActivations(payload: Uint8Array, activations: Activations): Uint8Array {
  if (activations === 'f32') return payload;
  // A view needs an even offset, which a payload inside a frame may not have.
  const aligned = payload.byteOffset % activationBytes.f16 === 0 ? payload : new Uint8Array(payload);
  const halves = new Float16Array(aligned.buffer, aligned.byteOffset, aligned.byteLength / activationBytes.f16);
  return new Uint8Array(Float32Array.from(halves).buffer);
}
