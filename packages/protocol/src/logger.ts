/**
 * Where a component writes what it does. pino's loggers fit as they are. `error` needs an operator, `info` is sparse
 * lifecycle, repeated conditions are logged on transition only. Fields never hold secrets or prompts.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** Drops everything. The default wherever a logger is optional. */
export const silentLogger: Logger = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
});
