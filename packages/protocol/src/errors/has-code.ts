/** Tells whether an error has this code: one of the system's, like `ENOENT`, or one of ours. */
export function hasCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
