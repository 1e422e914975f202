import { posix, win32 } from 'node:path';

/** Directories in which other programs keep models. */
export interface LocalModelPlaces {
  readonly ollama: readonly string[];
  readonly lmStudio: readonly string[];
  readonly huggingFace: readonly string[];
}

/**
 * Returns the directories in which Ollama, LM Studio and the Hugging Face cache keep models: those that their own
 * variables name (`OLLAMA_MODELS`; `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`), else their usual ones.
 */
export function localModelPlaces(options: {
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The user's directory. */
  readonly home: string;
  readonly platform: NodeJS.Platform;
}): LocalModelPlaces {
  const { environment, home, platform } = options;
  const join = (...parts: readonly string[]) => (platform === 'win32' ? win32 : posix).join(...parts);
  const value = (name: string) => environment[name]?.trim() || undefined;
  const named = value('OLLAMA_MODELS');
  // As a service of Linux it has a user of its own.
  const ofService = platform === 'linux' ? ['/usr/share/ollama/.ollama/models', '/var/lib/ollama/models'] : [];
  const cache = value('XDG_CACHE_HOME') ?? join(home, '.cache');
  const hub = value('HF_HUB_CACHE') ?? join(value('HF_HOME') ?? join(cache, 'huggingface'), 'hub');
  return {
    ollama: named === undefined ? [join(home, '.ollama', 'models'), ...ofService] : [named],
    lmStudio: [join(home, '.lmstudio', 'models'), join(home, '.cache', 'lm-studio', 'models')],
    huggingFace: [hub],
  };
}
