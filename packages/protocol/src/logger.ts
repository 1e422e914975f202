/**
 * A structured logger; pino's loggers fit as they are. Log at `error` if an operator has to act, at `info` for sparse
 * lifecycle events; log repeated conditions on transition only. Fields never hold secrets or prompts.
 */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

/** A logger that drops everything, the default wherever a logger is optional. */
export const silentLogger: Logger = Object.freeze({
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
});
