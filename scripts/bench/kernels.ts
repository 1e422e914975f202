import { readFile } from 'node:fs/promises';

/** ggml's CPU backends that the programs of a case computed with, by program. Several where its processes differ. */
export type Kernels = Readonly<Record<string, readonly string[]>>;

/** Notes on the CPU backends that programs have loaded. A comparison of different ones compares compilers. */
export class KernelNotes {
  readonly #found = new Map<string, Set<string>>();

  /**
   * Notes the backends of a process that has loaded them.
   *
   * @throws Error when it has none: then the comparison says nothing
   */
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

/** Returns from the text of `/proc/<pid>/maps` the variants whose `libggml-cpu-<variant>.so` are mapped. */
export function parseKernels(maps: string): string[] {
  return [...new Set([...maps.matchAll(/\/libggml-cpu-([\w.]+)\.so$/gm)].map(([, variant = '']) => variant))];
}
