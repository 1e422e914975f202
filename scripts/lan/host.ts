import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';

import { execute, ip } from './execute.ts';
import { pathOf } from './namespaces.ts';
import { tbf } from './tbf.ts';

/** Hardware address of no machine. */
const nobody = '02:00:00:00:00:01';

/** A simulated machine: a network namespace with one interface, `eth0`, on a cable to the switch. */
export class LanHost {
  /** Name of its network namespace. */
  readonly name: string;
  /** IPv4 address of `eth0`. */
  readonly address: string;
  readonly #switch: string;
  readonly #port: string;
  readonly #ended: Promise<unknown>[] = [];

  constructor(options: {
    readonly name: string;
    readonly address: string;
    /** Namespace of the switch, and the interface there that this host's cable ends in. */
    readonly switchName: string;
    readonly port: string;
  }) {
    this.name = options.name;
    this.address = options.address;
    this.#switch = options.switchName;
    this.#port = options.port;
  }

  /** Returns the command that runs a command in this host, for a `spawn` of your own. */
  enter(command: string, commandLine: readonly string[]): [command: string, commandLine: string[]] {
    return ['nsenter', [`--net=${pathOf(this.name)}`, '--', command, ...commandLine]];
  }

  /**
   * Starts a process in this host. Signals reach it itself. It is killed with the LAN, together with its children. Its
   * output has to be read.
   */
  run(command: string, commandLine: readonly string[] = []): ChildProcessWithoutNullStreams {
    const child = spawn(...this.enter(command, commandLine));
    // One that is gone can't be told anything.
    child.stdin.on('error', () => undefined);
    // Why one could not be started is its owner's to hear.
    this.#ended.push(once(child, 'close').catch(() => undefined));
    return child;
  }

  /** Runs a program in this host to its end and returns its output. Throws an error with its text on stderr. */
  async output(command: string, commandLine: readonly string[] = []): Promise<string> {
    return await execute(...this.enter(command, commandLine));
  }

  /** Limits the rate of its cable, in each direction, in 10⁶ bits a second. */
  async setBandwidth(mbitPerSecond: number): Promise<void> {
    const replace = async (namespace: string, device: string) =>
      await execute('tc', ['-netns', namespace, 'qdisc', 'replace', 'dev', device, 'root', ...tbf(mbitPerSecond)]);
    await Promise.all([replace(this.name, 'eth0'), replace(this.#switch, this.#port)]);
  }

  /** Pulls its cable: nothing gets through, nobody is told, and its own interface has no carrier. */
  async unplug(): Promise<void> {
    await ip([`link set ${this.#port} down`], this.#switch);
  }

  async plug(): Promise<void> {
    await ip([`link set ${this.#port} up`], this.#switch);
  }

  /** Drops all that it sends to an address of the LAN, without telling anyone. */
  async drop(address: string): Promise<void> {
    await ip([`neigh replace ${address} lladdr ${nobody} dev eth0 nud permanent`], this.name);
  }

  /** Undoes {@link drop}. */
  async undrop(address: string): Promise<void> {
    await ip([`neigh del ${address} dev eth0`], this.name);
  }

  /** Lets it reach an address of the LAN no more: its connections there fail at once. Others may still connect to it. */
  async loseRoute(address: string): Promise<void> {
    await ip([`route add unreachable ${address}/32`], this.name);
  }

  /** Keeps others' multicast from it, as some access points and switches do. */
  async filterMulticast(): Promise<void> {
    await ip([`link set ${this.#port} type bridge_slave mcast_flood off`], this.#switch);
  }

  /** Isolates it: from now on it reaches only hosts that are not isolated, such as one with a {@link Relay}. */
  async isolate(): Promise<void> {
    await ip([`link set ${this.#port} type bridge_slave isolated on`], this.#switch);
  }

  /** Resolves when all processes started by {@link run} have ended. */
  async ended(): Promise<void> {
    await Promise.all(this.#ended);
  }
}
