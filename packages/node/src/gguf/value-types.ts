/** GGUF's value types by name, with their numbers on disk (`enum gguf_type` in gguf.h). */
export const valueTypeNumbers = Object.freeze({
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const);

export type ValueType = keyof typeof valueTypeNumbers;
/** A type of array elements. GGUF's arrays of arrays are left out: llama.cpp reads none. */
export type ElementType = Exclude<ValueType, 'array'>;
export type FixedType = Exclude<ElementType, 'string'>;

/** A decoded scalar. 64-bit integers are numbers where exact and bigints beyond. */
export type Scalar = number | bigint | boolean | string;
export type Value = Scalar | readonly Scalar[];

/** Bytes of one value of each type of fixed width. */
export const fixedWidths: Readonly<Record<FixedType, number>> = Object.freeze({
  uint8: 1,
  int8: 1,
  uint16: 2,
  int16: 2,
  uint32: 4,
  int32: 4,
  float32: 4,
  bool: 1,
  uint64: 8,
  int64: 8,
  float64: 8,
});

const names = new Map<number, ValueType>(
  Object.entries(valueTypeNumbers).map(([name, number]) => [number, name as ValueType]),
);

/** Looks a value type up by its number; undefined when GGUF has no such type. */
export function valueTypeName(number: number): ValueType | undefined {
  return names.get(number);
}

const decoders: Readonly<Record<FixedType, (view: DataView, offset: number) => Scalar>> = {
  uint8: (view, offset) => view.getUint8(offset),
  int8: (view, offset) => view.getInt8(offset),
  uint16: (view, offset) => view.getUint16(offset, true),
  int16: (view, offset) => view.getInt16(offset, true),
  uint32: (view, offset) => view.getUint32(offset, true),
  int32: (view, offset) => view.getInt32(offset, true),
  float32: (view, offset) => view.getFloat32(offset, true),
  bool: (view, offset) => view.getUint8(offset) !== 0,
  uint64: (view, offset) => narrow(view.getBigUint64(offset, true)),
  int64: (view, offset) => narrow(view.getBigInt64(offset, true)),
  float64: (view, offset) => view.getFloat64(offset, true),
};

/** Decodes one little-endian value of fixed width. */
export function decodeFixed(view: DataView, offset: number, type: FixedType): Scalar {
  return decoders[type](view, offset);
}

const encoders: Readonly<Record<FixedType, (view: DataView, value: Scalar) => void>> = {
  uint8: (view, value) => view.setUint8(0, Number(value)),
  int8: (view, value) => view.setInt8(0, Number(value)),
  uint16: (view, value) => view.setUint16(0, Number(value), true),
  int16: (view, value) => view.setInt16(0, Number(value), true),
  uint32: (view, value) => view.setUint32(0, Number(value), true),
  int32: (view, value) => view.setInt32(0, Number(value), true),
  float32: (view, value) => view.setFloat32(0, Number(value), true),
  bool: (view, value) => view.setUint8(0, Number(value)),
  uint64: (view, value) => view.setBigUint64(0, BigInt(value), true),
  int64: (view, value) => view.setBigInt64(0, BigInt(value), true),
  float64: (view, value) => view.setFloat64(0, Number(value), true),
};

/** Encodes one little-endian value of fixed width. Integers out of range wrap, as DataView does. */
export function encodeFixed(type: FixedType, value: Scalar): Uint8Array {
  const content = new Uint8Array(fixedWidths[type]);
  encoders[type](new DataView(content.buffer), value);
  return content;
}

function narrow(value: bigint): number | bigint {
  return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value;
}
