export { takeLock } from './lock.ts';
export { renameDurably, replaceFile } from './durable.ts';
export { onDisk } from './on-disk.ts';
export { shareFile } from './share-file.ts';
export { assertRoom, bytesOnDisk, measureFreeBytes, type MeasureFreeBytes } from './room.ts';
