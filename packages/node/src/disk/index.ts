export { renameDurably, replaceFile } from './durable.ts';
export { onDisk } from './on-disk.ts';
export { assertRoom, measureFreeBytes, type MeasureFreeBytes } from './room.ts';
