import { openStore } from '@skein/node';
import { formatBytes } from '@skein/protocol';
import type { Command } from 'commander';

import { announceModels } from '../control/control-client.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { openData } from '../program/data-options.ts';
import { createLogger } from '../program/logger.ts';
import { pullModel, type PullWishes } from './pull-model.ts';

interface PullFlags extends PullWishes {
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein pull smollm2-135m-instruct
  $ skein pull ~/models/llama-3.2-1b-q4_k_m.gguf
  $ skein pull owner/repository:Q4_K_M                  the file in this quantization; the parts, if it has some
  $ skein pull owner/repository:Q4_K_M --revision v2    a branch, tag or commit; or owner/repository:Q4_K_M@v2
  $ skein pull hf:owner/repository/file.gguf
  $ skein pull big-00001-of-00003.gguf                  any of the parts stands for all; they become one file
  $ skein pull ollama:llama3.2:3b                       what another program has; \`skein models --local\` lists it

A file on this machine is cloned where the file system can, else copied. --link shares it, and files that are named by
their own hash, as Ollama's are, are shared by themselves, on one file system: then they take room once.
Private and gated repositories need an access token: HF_TOKEN, or a file with mode 0600. It goes to that server alone.
HF_ENDPOINT names a mirror; HTTPS_PROXY, HTTP_PROXY and NO_PROXY name proxies, as for other programs.
NODE_EXTRA_CA_CERTS names a file with the certificate of a mirror's own authority.
The file is checked before it is used; an interrupted pull goes on where it stopped.
A daemon that runs in the same data directory offers the model to the mesh at once.`;

/** Adds the command `skein pull` to the program. */
export function registerPull(program: Command, context: CommandContext): void {
  const command = program
    .command('pull')
    .description('Get a model onto this machine.')
    .argument('<model>', 'a name that Skein knows, owner/repository:Q4_K_M, hf:owner/repository/file.gguf, or a path')
    .option('--revision <revision>', 'branch, tag or commit of the repository (default: main)')
    .option('--token-file <path>', 'file with an access token, in place of HF_TOKEN or the one at HF_TOKEN_PATH')
    .option('--link', 'share the file at the path instead of copying it: nobody will write to it')
    .option('--json', 'print what is held as JSON')
    .addHelpText('after', examples)
    .action(async (text: string, flags: PullFlags) => {
      const { directory, controlPath, logLevel } = await openData(command);
      const store = await openStore(directory, { logger: createLogger(context.stderr, logLevel) });
      const held = await pullModel(store, text, context, flags);
      await announceModels(controlPath);
      if (flags.json === true) return printJson(context.stdout, held);
      return printLine(context.stdout, `${held.name} is here: ${formatBytes(held.bytes)}, SHA-256 ${held.model}`);
    });
}
