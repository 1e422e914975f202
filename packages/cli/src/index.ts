export { exitCodes } from './process/exit-codes.ts';
export type { CommandContext } from './program/context.ts';
export { runCommandLine } from './program/run-command-line.ts';
