/** The end, with an exit code of its own, of a command that has reported its result already. */
export class Verdict extends Error {
  readonly exitCode: number;

  constructor(exitCode: number) {
    super(`the command ends with exit code ${exitCode}`);
    this.exitCode = exitCode;
  }
}
