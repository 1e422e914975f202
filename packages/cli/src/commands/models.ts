import { isAnything } from '@skein/mesh';
import { findLocalModels, openStore } from '@skein/node';
import { formatBytes, type HeldModel, type Logger } from '@skein/protocol';
import type { Command } from 'commander';

import { formatTable, shellWord } from '../output/format.ts';
import { printJson, printLine, type CommandContext } from '../program/context.ts';
import { findData } from '../program/data-options.ts';
import { createLogger } from '../program/logger.ts';
import { ownModelPlaces } from './pull-model.ts';

interface ModelsFlags {
  readonly local?: boolean;
  readonly json?: boolean;
}

const examples = `
Examples:
  $ skein models
  $ skein models --local            what Ollama, LM Studio and the Hugging Face cache hold, and how to pull it
  $ skein models --local --json | jq -r '.models[].reference'`;

/** Adds the command `skein models` to the program. */
export function registerModels(program: Command, context: CommandContext): void {
  const command = program
    .command('models')
    .description('List the models on this machine.')
    .option('--local', 'list those that Ollama, LM Studio and the Hugging Face cache hold instead')
    .option('--json', 'print them as JSON')
    .addHelpText('after', examples)
    .action(async (flags: ModelsFlags) => {
      const { directory, logLevel } = await findData(command);
      const { held, unfinishedBytes, stageFileBytes } = await lookInto(
        directory,
        createLogger(context.stderr, logLevel),
      );
      if (flags.local !== true) {
        if (flags.json === true) return printJson(context.stdout, { models: held, unfinishedBytes, stageFileBytes });
        if (held.length === 0) printLine(context.stdout, 'No model is here. `skein pull` gets one.');
        else printLine(context.stdout, describeHeld(held));
        const rest: readonly (readonly [bytes: number, about: string])[] = [
          [
            unfinishedBytes,
            'pulls that have not ended; the same `skein pull` goes on with one, `skein rm --interrupted` frees the room',
          ],
          [
            stageFileBytes,
            'stage files, the parts of models that this machine was given to compute; `skein rm --stages` frees the room, and they are fetched anew when they are needed',
          ],
        ];
        for (const [bytes, about] of rest)
          if (bytes > 0) printLine(context.stdout, `${formatBytes(bytes)} of ${about}`);
        return;
      }
      const hashes = new Set(held.map(({ model }) => model));
      const found = (await findLocalModels(ownModelPlaces(context.environment))).map((model) => ({
        ...model,
        isHeld: model.sha256 !== undefined && hashes.has(model.sha256),
      }));
      if (flags.json === true) return printJson(context.stdout, { models: found });
      if (found.length === 0) {
        return printLine(context.stdout, 'Neither Ollama, LM Studio nor the Hugging Face cache has a model here.');
      }
      const rows = found.map(({ program, bytes, reference, isHeld }) => [
        program,
        formatBytes(bytes),
        isHeld ? `${reference} is here already` : `skein pull ${shellWord(reference)}`,
      ]);
      return printLine(context.stdout, formatTable([['PROGRAM', 'SIZE', 'COMMAND'], ...rows]));
    });
}

async function lookInto(directory: string, logger: Logger) {
  // A missing directory holds nothing, and a look makes none.
  if (!(await isAnything(directory))) return { held: [], unfinishedBytes: 0, stageFileBytes: 0 };
  const store = await openStore(directory, { logger });
  return {
    held: await store.list(),
    unfinishedBytes: await store.unfinishedBytes(),
    stageFileBytes: await store.stageFileBytes(),
  };
}

function describeHeld(held: readonly HeldModel[]): string {
  const rows = held.map(({ model, name, bytes, aliases = [], unusable }) => [
    name,
    formatBytes(bytes),
    model.slice(0, 12),
    unusable ?? aliases.join(', '),
  ]);
  return formatTable([['MODEL', 'SIZE', 'SHA-256', 'ALSO CALLED'], ...rows]);
}
