export { memorySource, openFileSource, type ByteSource, type FileSource } from './byte-source.ts';
export { maxHeadBytes, readGgufHead, type GgufHead } from './head.ts';
export { planMerge, type MergedRange, type MergePlan } from './merge.ts';
export {
  decodeMetadataEntry,
  readGgufLayout,
  type GgufLayout,
  type MetadataEntry,
  type TensorEntry,
} from './reader.ts';
export { tensorBytes, tensorType, tensorTypeNumbers, type TensorType } from './tensor-types.ts';
export type { ElementType, Scalar, Value, ValueType } from './value-types.ts';
export {
  encodeArrayEntry,
  encodeEntry,
  planGguf,
  type EntryToWrite,
  type GgufPlan,
  type Placed,
  type TensorToWrite,
} from './writer.ts';
