import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

import { z } from 'zod';

import type { LanHost } from '../lan/host.ts';
import { startSkein, type RunningSkein } from '../quickstart/skein-command.ts';
import { runVariable } from './processes.ts';

const factsSchema = z.object({ pid: z.number(), peer: z.string() });
const keptLines = 30;

export interface DaemonPlan {
  readonly name: string;
  /** Machine on which it runs. */
  readonly host: LanHost;
  /** Data directory. */
  readonly data: string;
  /** Id of the run, for {@link runVariable}. */
  readonly run: string;
  /** Arguments, `up` or `join` with its flags: those of the first start, and those of each later one. */
  readonly first: readonly string[];
  readonly again: readonly string[];
  /** Called with its last lines when it ends though nobody ended it. */
  readonly onCrash: (crash: string) => void;
}

/** One daemon over all its processes: it can be ended in any way, and started again in its directory. */
export class Daemon implements AsyncDisposable {
  readonly #plan: DaemonPlan;
  readonly #lines: string[] = [];
  #running: { readonly skein: RunningSkein; readonly pid: number; readonly closed: Promise<unknown> } | undefined;
  #hasStarted = false;
  #mayEnd = false;
  #peer = '';

  constructor(plan: DaemonPlan) {
    this.#plan = plan;
  }

  get name(): string {
    return this.#plan.name;
  }

  get host(): LanHost {
    return this.#plan.host;
  }

  get data(): string {
    return this.#plan.data;
  }

  /** Its peer id, once it was started. */
  get peer(): string {
    return this.#peer;
  }

  get isRunning(): boolean {
    return this.#running !== undefined;
  }

  /** Id of its process. Throws when there is none. */
  get pid(): number {
    if (this.#running === undefined) throw new Error(`${this.name} does not run`);
    return this.#running.pid;
  }

  /** Starts it, or starts it again. */
  async start(signal: AbortSignal): Promise<void> {
    const { name, host, data, run, first, again, onCrash } = this.#plan;
    const closed = Promise.withResolvers<unknown>();
    this.#mayEnd = false;
    const skein = await startSkein(this.#hasStarted ? again : first, {
      signal,
      machine: {
        name,
        data,
        run: (command, commandLine) => {
          const child = spawn(...host.enter(command, commandLine), { env: { ...process.env, [runVariable]: run } });
          createInterface(child.stderr).on('line', (line) => {
            this.#lines.push(line);
            if (this.#lines.length > keptLines) this.#lines.shift();
          });
          void once(child, 'close').then(closed.resolve);
          return child;
        },
      },
    });
    const { pid, peer } = factsSchema.parse(skein.facts);
    const running = { skein, pid, closed: closed.promise };
    this.#hasStarted = true;
    this.#peer = peer;
    this.#running = running;
    void closed.promise.then(() => {
      if (this.#running === running && !this.#mayEnd) onCrash([`${name} ended by itself`, ...this.#lines].join('\n'));
    });
  }

  /** Sends its process a signal that ends it, and waits until it has ended. */
  async end(name: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    this.#mayEnd = true;
    const { pid } = this;
    const closed = this.#running?.closed;
    process.kill(pid, name);
    await closed;
    this.#running = undefined;
  }

  /** Stops it in order. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#mayEnd = true;
    const running = this.#running;
    this.#running = undefined;
    if (running === undefined) return;
    try {
      process.kill(running.pid, 'SIGCONT');
    } catch {
      // It is gone.
    }
    await running.skein[Symbol.asyncDispose]();
  }
}
