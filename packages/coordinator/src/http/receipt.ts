import type { AnsweringMachine, AskedReplica } from '../audit/index.ts';
import type { Choice } from './generation-port.ts';

/**
 * The machines that a request with labels has gone to, with theirs: all that may have computed a part of its answer, over
 * all attempts and choices.
 */
export class Receipt {
  readonly #machines = new Map<string, AnsweringMachine>();

  /** Notes the machines of a replica that is asked. */
  onAsk({ machines = [] }: AskedReplica): void {
    for (const machine of machines) this.#machines.set(machine.peer, machine);
  }

  /** Returns the choices of a request, whose ends carry the receipt where there is something to prove. */
  of(choices: readonly Choice[]): readonly Choice[] {
    const machines = () => (this.#machines.size === 0 ? undefined : [...this.#machines.values()]);
    return choices.map((choice) => ({
      get route() {
        return choice.route;
      },
      get transcript() {
        return choice.transcript;
      },
      get interruptions() {
        return choice.interruptions;
      },
      get machines() {
        return machines();
      },
      [Symbol.asyncIterator]: () => choice[Symbol.asyncIterator](),
    }));
  }
}
