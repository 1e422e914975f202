/** Thrown by a command that has said already how it ended, and ends with a code of its own. */
export class Verdict extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the command ends with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
