import { readFile } from 'node:fs/promises';

/** Which of ggml's CPU backends the programs of a case computed with, by program. Several where its processes differ. */
export type Kernels = Readonly<Record<string, readonly string[]>>;

/** Collects which CPU backends programs have loaded. A comparison of different ones compares compilers. */
export class KernelNotes {
  readonly #found = new Map<string, Set<string>>();

  /** Looks at a process that has loaded its backends. Throws where it has none: then the comparison says nothing. */
  async note(program: string, pid: number): Promise<void> {
    const variants = parseKernels(await readFile(`/proc/${pid}/maps`, 'utf8'));
    if (variants.length === 0) throw new Error(`${program} has loaded none of ggml's CPU backends`);
    const found = this.#found.get(program) ?? new Set();
    for (const variant of variants) found.add(variant);
    this.#found.set(program, found);
  }

  describe(): Kernels {
    return Object.fromEntries([...this.#found].map(([program, variants]) => [program, [...variants].sort()]));
  }
}

/** Reads from `/proc/<pid>/maps` which `libggml-cpu-<variant>.so` are mapped. */
export function parseKernels(maps: string): string[] {
  return [...new Set([...maps.matchAll(/\/libggml-cpu-([\w.]+)\.so$/gm)].map(([, variant = '']) => variant))];
}
