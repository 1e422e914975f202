import type { AnsweringMachine, AskedReplica } from '../audit/index.ts';
import type { AnswerReceipt, Choice } from './generation-port.ts';

/**
 * The machines that a request with labels has gone to, with theirs, over all attempts and choices so far. Empty where no
 * labels were asked for.
 */
export class Receipt implements AnswerReceipt {
  readonly #machines = new Map<string, AnsweringMachine>();
  readonly #readAlong = new Map<string, AnsweringMachine>();

  get machines(): readonly AnsweringMachine[] {
    return [...this.#machines.values()];
  }

  get readAlong(): readonly AnsweringMachine[] {
    return [...this.#readAlong.values()].filter(({ peer }) => !this.#machines.has(peer));
  }

  /** Notes the machines of a replica that is asked. */
  onAsk({ machines = [], readsAlong = false }: AskedReplica): void {
    const noted = readsAlong ? this.#readAlong : this.#machines;
    for (const machine of machines) noted.set(machine.peer, machine);
  }

  /** Returns the choices of a request with this receipt. */
  of(choices: readonly Choice[]): readonly Choice[] {
    return choices.map((choice) => ({
      receipt: this,
      get route() {
        return choice.route;
      },
      get transcript() {
        return choice.transcript;
      },
      get interruptions() {
        return choice.interruptions;
      },
      [Symbol.asyncIterator]: () => choice[Symbol.asyncIterator](),
    }));
  }
}
