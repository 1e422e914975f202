/** Layout of a row in a ggml tensor type: blocks of `blockSize` elements, each `blockBytes` long. */
export interface TensorType {
  readonly name: string;
  readonly blockSize: number;
  readonly blockBytes: number;
}

/**
 * ggml's tensor types by number (`enum ggml_type` in ggml.h, block structs in ggml-common.h, of the bundled llama.cpp).
 * The missing numbers (4, 5, 31–33, 36–38) were removed from the format.
 */
const tensorTypes: ReadonlyMap<number, TensorType> = new Map(
  (
    [
      [0, 'f32', 1, 4],
      [1, 'f16', 1, 2],
      [2, 'q4_0', 32, 18],
      [3, 'q4_1', 32, 20],
      [6, 'q5_0', 32, 22],
      [7, 'q5_1', 32, 24],
      [8, 'q8_0', 32, 34],
      [9, 'q8_1', 32, 36],
      [10, 'q2_K', 256, 84],
      [11, 'q3_K', 256, 110],
      [12, 'q4_K', 256, 144],
      [13, 'q5_K', 256, 176],
      [14, 'q6_K', 256, 210],
      [15, 'q8_K', 256, 292],
      [16, 'iq2_xxs', 256, 66],
      [17, 'iq2_xs', 256, 74],
      [18, 'iq3_xxs', 256, 98],
      [19, 'iq1_s', 256, 50],
      [20, 'iq4_nl', 32, 18],
      [21, 'iq3_s', 256, 110],
      [22, 'iq2_s', 256, 82],
      [23, 'iq4_xs', 256, 136],
      [24, 'i8', 1, 1],
      [25, 'i16', 1, 2],
      [26, 'i32', 1, 4],
      [27, 'i64', 1, 8],
      [28, 'f64', 1, 8],
      [29, 'iq1_m', 256, 56],
      [30, 'bf16', 1, 2],
      [34, 'tq1_0', 256, 54],
      [35, 'tq2_0', 256, 66],
      [39, 'mxfp4', 32, 17],
      [40, 'nvfp4', 64, 36],
      [41, 'q1_0', 128, 18],
      [42, 'q2_0', 64, 18],
    ] as const
  ).map(([number, name, blockSize, blockBytes]) => [number, { name, blockSize, blockBytes }]),
);

/** Numbers of the types that this code base writes itself. */
export const tensorTypeNumbers = Object.freeze({
  f32: 0,
  f16: 1,
  q4_0: 2,
  q8_0: 8,
  mxfp4: 39,
  q1_0: 41,
  q2_0: 42,
} as const);

/** Looks a ggml type up by its number; undefined when this llama.cpp does not know it. */
export function tensorType(number: number): TensorType | undefined {
  return tensorTypes.get(number);
}

/**
 * Returns the size of a tensor's data in bytes, without padding.
 *
 * @param shape elements per dimension, fastest-varying first
 * @returns undefined when the type is unknown, a row is not a whole number of blocks, or the size exceeds 2^53
 */
export function tensorBytes(type: number, shape: readonly number[]): number | undefined {
  const layout = tensorTypes.get(type);
  const [row = 1, ...rest] = shape;
  if (layout === undefined || row % layout.blockSize !== 0) return undefined;
  const bytes = rest.reduce((product, extent) => product * extent, (row / layout.blockSize) * layout.blockBytes);
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}
