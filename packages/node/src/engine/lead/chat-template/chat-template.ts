import { isSkeinError, SkeinError, textOf, type Message } from '@skein/protocol';

import { Budget, BudgetExceeded, type RenderingLimits } from './budget.ts';
import { Interpreter, RaisedByTemplate } from './interpreter.ts';
import { parseTemplate, type Block } from './syntax-tree.ts';
import { said, written, type Text } from './text.ts';
import { Dictionary, type Value } from './values.ts';

/** Longest quoted reason of a template or of its parser, in characters. */
const maxReasonCharacters = 500;

export interface ChatTemplateOptions {
  /** Texts of the model's tokens that begin and end a sequence; '' where it has none. */
  readonly bos: string;
  readonly eos: string;
  /**
   * Limits of a rendering. Default: 3 million steps, one more for each four characters of the conversation, and four
   * times the conversation's characters, at least a mebibyte of them.
   */
  readonly limits?: Partial<RenderingLimits>;
}

/** A renderer of conversations through the template in the model's file. */
export class ChatTemplate {
  /**
   * The parsed template, or the error of parsing it, which concerns only those who use it: plain completions need no
   * template.
   */
  readonly #template: Block | SkeinError;
  readonly #options: ChatTemplateOptions;

  /**
   * Makes the template of a model; undefined for a model without one. An empty one counts as none: it would render
   * nothing of a conversation.
   */
  static of(source: string | null, options: ChatTemplateOptions): ChatTemplate | undefined {
    return source === null || source.trim() === '' ? undefined : new ChatTemplate(source, options);
  }

  constructor(source: string, options: ChatTemplateOptions) {
    this.#template = parsed(source);
    this.#options = options;
  }

  /**
   * Checks a template that a deployment brought.
   *
   * @throws SkeinError `invalid-request` when it does not parse
   */
  static assertParses(source: string): void {
    const template = parsed(source);
    if (!isSkeinError(template)) return;
    const reason = reasonOf(template.cause);
    throw new SkeinError('invalid-request', `chatTemplate does not parse: ${reason}; correct it or leave it out`, {
      details: { param: 'chatTemplate' },
    });
  }

  /**
   * Renders the text that the model continues as the assistant. The text knows which of its characters come from
   * messages.
   *
   * @param now the date that the template's `strftime_now` tells, in the machine's time zone
   * @throws SkeinError `invalid-request` with the template's own words when it refuses the conversation;
   * `model-invalid` when it does not parse, fails, takes more than a rendering may, or leaves the last user's text out
   */
  render(messages: readonly Message[], now: Date): Text {
    if (isSkeinError(this.#template)) throw this.#template;
    const { bos, eos } = this.#options;
    const characters = messages.reduce((sum, message) => sum + textOf(message).length, 0);
    const budget = new Budget({
      steps: defaultSteps + Math.trunc(characters / 4),
      characters: Math.max(1024 * 1024, 4 * characters),
      depth: maxDepth,
      ...this.#options.limits,
    });
    const interpreter = new Interpreter(budget, { now });
    let text: Text;
    try {
      text = interpreter.render(this.#template, {
        messages: messages.map(toValue),
        add_generation_prompt: true,
        bos_token: written(bos),
        eos_token: written(eos),
      });
    } catch (error) {
      throw error instanceof RaisedByTemplate ? refused(error) : unusable(error, interpreter.line);
    }
    assertHoldsTheQuestion(text.value, messages);
    return text;
  }
}

/**
 * Turns a message into a value. Its role is one of a few words, so it may be part of a mark: some templates write `'<|'
 * + role + '|>'`.
 */
function toValue(message: Message): Value {
  const { role, name } = message;
  return new Dictionary([
    // `developer` is OpenAI's newer word for `system`, which is the one that templates know.
    [written('role'), written(role === 'developer' ? 'system' : role)],
    [written('content'), said(textOf(message))],
    ...(name === undefined ? [] : [[written('name'), said(name)] as const]),
  ]);
}

const defaultSteps = 3_000_000;
const maxDepth = 64;

function parsed(source: string): Block | SkeinError {
  try {
    return parseTemplate(source);
  } catch (error) {
    return new SkeinError(
      'model-invalid',
      `the model's chat template does not parse: ${reasonOf(error)}; use plain completions or another model file`,
      { cause: error },
    );
  }
}

function refused(error: RaisedByTemplate): SkeinError {
  return new SkeinError('invalid-request', `the model's chat template refuses these messages: ${reasonOf(error)}`, {
    cause: error,
  });
}

function unusable(error: unknown, line: number): SkeinError {
  return new SkeinError(
    'model-invalid',
    `the model's chat template can't be rendered: line ${line}: ${reasonOf(error)}; ${
      error instanceof BudgetExceeded ? 'send a shorter conversation, use plain completions,' : 'use plain completions'
    } or another model file`,
    { cause: error },
  );
}

/**
 * Returns an error's reason in one line, without the control characters that a model's file may bring into a terminal
 * or a log.
 */
function reasonOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  // eslint-disable-next-line no-control-regex -- those are meant
  return message.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ').slice(0, maxReasonCharacters);
}

/**
 * Checks that a rendering has the last user's text. Without it the model would answer something else, with no sign of
 * it. Templates trim texts, join their lines and escape some characters, so the longest word has to be there.
 */
function assertHoldsTheQuestion(text: string, messages: readonly Message[]): void {
  const last = messages.findLast(({ role }) => role === 'user');
  const question = last === undefined ? '' : textOf(last).trim();
  const words = question.match(/[\p{L}\p{N}]+/gu) ?? [question];
  const longest = words.reduce((best, word) => (word.length > best.length ? word : best), '');
  if (text.includes(longest.slice(0, maxWordCharacters))) return;
  throw new SkeinError(
    'model-invalid',
    "the model's chat template leaves out what the user says; use plain completions, or another model file",
  );
}

/** Longest word, in characters: a text without spaces counts as one word. */
const maxWordCharacters = 64;
