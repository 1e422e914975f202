import { SkeinError } from '@skein/protocol';
import { InvalidArgumentError, type Command, type Option } from 'commander';

import { loadSettings, saveSettings, settingsPath, type Setting, type Settings } from '../data/settings.ts';
import { typed, typedTexts } from './given-options.ts';

/** The options of a command that a data directory remembers from one start to the next. */
export class RememberedOptions {
  readonly #command: Command;
  readonly #directory: string;
  readonly #options: readonly Option[];
  readonly #settings: Settings;
  /** Line that says which options have values of the last start; none where none has. */
  readonly note: readonly string[];

  private constructor(command: Command, directory: string, options: readonly Option[], settings: Settings) {
    this.#command = command;
    this.#directory = directory;
    this.#options = options;
    this.#settings = settings;
    const recalled = options
      .filter((option) => command.getOptionValueSource(option.attributeName()) === 'remembered')
      .flatMap((option) => typed(option, command.getOptionValue(option.attributeName())));
    const forgetting = `delete ${settingsPath(directory)} to forget`;
    this.note = recalled.length === 0 ? [] : [`As at the last start: ${recalled.join(' ')} (${forgetting})`];
  }

  /**
   * Gives the options that were not given, on the command line or in the environment, the values of the last start.
   *
   * @param options.except flags that hold for one start only
   * @throws SkeinError `invalid-request` for a value that the option does not take; otherwise as {@link loadSettings} does
   */
  static async recall(
    command: Command,
    { directory, except }: { readonly directory: string; readonly except: readonly string[] },
  ): Promise<RememberedOptions> {
    const options = command.options.filter(({ long, hidden }) => !hidden && !except.includes(long ?? ''));
    const settings = await loadSettings(directory);
    for (const option of options) {
      const name = option.attributeName();
      const setting = settings[name];
      if (setting === undefined || isGiven(command, option)) continue;
      command.setOptionValueWithSource(name, valueOf(option, setting, settingsPath(directory)), 'remembered');
    }
    return new RememberedOptions(command, directory, options, settings);
  }

  /**
   * Saves the options that were given on the command line, beside those that were given before. Those of the environment
   * come from there again.
   *
   * @throws SkeinError as {@link saveSettings} does
   */
  async save(): Promise<void> {
    const given = this.#options
      .map((option) => option.attributeName())
      .filter((name) => this.#command.getOptionValueSource(name) === 'cli')
      .map((name) => [name, settingOf(this.#command.getOptionValue(name))] as const);
    if (given.length > 0) await saveSettings(this.#directory, { ...this.#settings, ...Object.fromEntries(given) });
  }
}

function isGiven(command: Command, option: Option): boolean {
  const source = command.getOptionValueSource(option.attributeName());
  return source === 'cli' || source === 'env';
}

function settingOf(value: unknown): Setting {
  if (typeof value === 'boolean') return value;
  const isNumbers = Array.isArray(value) && value.some((item) => typeof item !== 'string');
  return typeof value === 'object' && value !== null && !isNumbers ? [...typedTexts(value)] : String(value);
}

function valueOf(option: Option, setting: Setting, path: string): unknown {
  try {
    const isSwitch = !option.required && !option.optional;
    if (isSwitch !== (typeof setting === 'boolean')) {
      throw new InvalidArgumentError(isSwitch ? 'It must be true or false.' : 'It must be a text.');
    }
    if (typeof setting === 'boolean') return setting;
    const { parseArg = (text: string) => text } = option;
    let value: unknown;
    for (const text of typeof setting === 'string' ? [setting] : setting) value = parseArg(text, value);
    return value;
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw new SkeinError(
      'invalid-request',
      `${path} has no usable value of ${option.attributeName()}: ${error.message} Start with ${option.long ?? ''} to replace it`,
    );
  }
}
