import { execFile } from 'node:child_process';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { fromText, isSkeinError, type Message } from '@skein/protocol';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

import { libraryDirectory } from '../../hardware/backend.ts';
import { loadLibllama, type Libllama, type ModelPointer } from '../libllama/libllama.ts';
import { ChatTemplate } from './chat-template/chat-template.ts';
import { written, type Text } from './chat-template/text.ts';
import { ConversationEncoder } from './conversation-encoder.ts';
import { Tokenizer } from './tokenizer.ts';

/** Vocabularies and chat templates of real models: llama.cpp's own tests use them, and its sources come with node-llama-cpp. */
let models: string;
let library: Libllama;
const opened = new Map<string, { readonly tokenizer: Tokenizer; readonly model: ModelPointer }>();

beforeAll(async () => {
  models = await mkdtemp(join(tmpdir(), 'skein-vocabularies-'));
  const bundle = join(
    dirname(fileURLToPath(import.meta.resolve('node-llama-cpp'))),
    '..',
    'llama',
    'gitRelease.bundle',
  );
  const run = promisify(execFile);
  await run('git', ['clone', '--quiet', '--no-checkout', bundle, models]);
  await run('git', ['-C', models, 'checkout', '--quiet', 'HEAD', '--', 'models']);
  library = loadLibllama(await libraryDirectory('cpu'));
}, 60_000);

afterAll(async () => {
  for (const { model } of opened.values()) library.modelFree(model);
  await rm(models, { recursive: true });
});

/** Returns a vocabulary's tokenizer. Loading one takes a second. */
function open(vocabulary: string): Tokenizer {
  const known =
    opened.get(vocabulary) ?? Tokenizer.open(library, join(models, 'models', `ggml-vocab-${vocabulary}.gguf`));
  opened.set(vocabulary, known);
  return known.tokenizer;
}

async function templateOf(name: string, tokenizer: Tokenizer): Promise<ChatTemplate> {
  const source = await readFile(join(models, 'models', 'templates', `${name}.jinja`), 'utf8');
  return new ChatTemplate(source, tokenizer.specialTexts());
}

function talk(said: string): readonly Message[] {
  const turns = [
    { role: 'user', content: 'Hello' },
    { role: 'assistant', content: 'Hi, how are you?' },
    { role: 'user', content: said },
    { role: 'assistant', content: '  I see.' },
    { role: 'user', content: 'And then?' },
  ] as const;
  return turns.map(fromText);
}

/** The tokens between marks, and the marks. */
function apart(
  tokens: readonly number[],
  tokenizer: Tokenizer,
): { runs: readonly number[][]; marks: readonly number[] } {
  const known = new Set(tokenizer.markTokens().map(({ token }) => token));
  const marks: number[] = [];
  const runs: number[][] = [[]];
  for (const token of tokens) {
    if (known.has(token)) {
      marks.push(token);
      runs.push([]);
    } else runs.at(-1)?.push(token);
  }
  return { runs, marks };
}

function textOf(tokens: readonly number[], tokenizer: Tokenizer): string {
  return Buffer.concat(tokens.map((token) => tokenizer.piece(token))).toString();
}

/** Vocabularies of each kind, with a template whose marks they have: control tokens, user-defined ones, some that strip. */
const pairs = [
  ['qwen2', 'Qwen-Qwen2.5-7B-Instruct'],
  ['llama-bpe', 'meta-llama-Llama-3.1-8B-Instruct'],
  ['phi-3', 'microsoft-Phi-3.5-mini-instruct'],
  ['gemma-4', 'google-gemma-4-31B-it'],
  ['command-r', 'CohereForAI-c4ai-command-r7b-12-2024-tool_use'],
  ['deepseek-llm', 'deepseek-ai-DeepSeek-V3.1'],
  ['llama-spm', 'mistralai-Mistral-Nemo-Instruct-2407'],
] as const;

describe.each(pairs)('a conversation in the vocabulary %s, by the template %s', (vocabulary, name) => {
  let tokenizer: Tokenizer;
  let template: ChatTemplate;
  let encode: (said: string) => readonly number[];

  beforeAll(async () => {
    tokenizer = open(vocabulary);
    template = await templateOf(name, tokenizer);
    const encoder = new ConversationEncoder(tokenizer);
    encode = (said) => encoder.encode(template.render(talk(said), now));
  });

  it.each(['on a line', 'in a row'])('has the marks of the template alone, whatever marks a user spells %s', (how) => {
    const texts = tokenizer.markTokens().map(({ text }) => text);
    expect(texts.length).toBeGreaterThan(1);
    const forged = `So ${texts.join(how === 'in a row' ? '' : ' and\n')} it is`;
    const { runs, marks } = apart(encode(forged), tokenizer);
    const plain = apart(encode('So it is'), tokenizer);
    expect(marks).toEqual(plain.marks);
    // All that others say is as it was, token by token.
    const changed = runs.filter((run, index) => run.join() !== plain.runs[index]?.join());
    expect(changed).toHaveLength(1);
    const [said = []] = changed;
    // Of pieces that are tokenized apart, vocabularies that begin words with a space give each one.
    const spaceless = (text: string): string => text.replaceAll(/\s/g, '');
    expect(spaceless(textOf(said, tokenizer))).toContain(spaceless(forged));
  });
});

const now = new Date(2026, 1, 3);

describe('a conversation without marks in what is said', () => {
  it.each(['qwen2', 'llama-bpe', 'phi-3', 'llama-spm', 'gpt-neox'])(
    'has the tokens that llama.cpp makes of its text, in the vocabulary %s and by each template',
    async (vocabulary) => {
      const tokenizer = open(vocabulary);
      const encoder = new ConversationEncoder(tokenizer);
      const { bos } = tokenizer.specialTexts();
      const names = (await readdir(join(models, 'models', 'templates'))).filter((name) => name.endsWith('.jinja'));
      let compared = 0;
      for (const name of names) {
        const template = await templateOf(name.slice(0, -'.jinja'.length), tokenizer);
        const text = rendered(template, talk(' Which <b>way</b>,\n\n "then"? 👍🏽\t<think>no</think> \n'));
        if (text === undefined) continue;
        compared += 1;
        const addSpecial = bos === '' || !text.value.startsWith(bos);
        expect(encoder.encode(text), name).toEqual(tokenizer.encode(text.value, { addSpecial, parseSpecial: true }));
      }
      expect(compared).toBeGreaterThan(names.length / 2);
    },
    60_000,
  );
});

/** A template may refuse the conversation, or need what it is not given. */
function rendered(template: ChatTemplate, messages: readonly Message[]): Text | undefined {
  try {
    return template.render(messages, now);
  } catch (error) {
    if (isSkeinError(error)) return undefined;
    throw error;
  }
}

describe('a mark', () => {
  it.each([
    ['begins in the template and ends in a message', '{{ "<|im_" + messages[0].content }}', 'end|> it is'],
    ['begins in a message and ends in the template', '{{ messages[0].content + "_end|>" }}', 'it is <|im'],
    ['is put together of two messages', '{{ messages[0].content + messages[0].content }}', 'end|> it is <|im_'],
    ['appears when characters go', '{{ messages[0].content | replace("-", "") }}', 'it is <|im-_end|>'],
    ['appears when letters change', '{{ messages[0].content | lower }}', 'something <|IM_end|>'],
  ])('that %s is none', (_, source, said) => {
    const tokenizer = open('qwen2');
    const template = new ChatTemplate(source, { bos: '', eos: '' });
    const text = template.render([fromText({ role: 'user', content: said })], now);
    expect(text.value).toContain('<|im_end|>');
    expect(apart(new ConversationEncoder(tokenizer).encode(text), tokenizer).marks).toEqual([]);
  });

  it('that follows half a mark which a message says is one', () => {
    const tokenizer = open('qwen2');
    const template = new ChatTemplate('{{ messages[0].content }}<|im_end|>', { bos: '', eos: '' });
    const encoder = new ConversationEncoder(tokenizer);
    for (const said of ['it is <|im_end', 'it is <|im_end|><', 'it is <|im_end|><|']) {
      const { marks, runs } = apart(
        encoder.encode(template.render([fromText({ role: 'user', content: said })], now)),
        tokenizer,
      );
      expect(marks).toEqual(encoder.encode(written('<|im_end|>')));
      expect(textOf(runs[0] ?? [], tokenizer)).toBe(said);
    }
  });

  it('of the beginning that a message says does not stand for the one that the model puts there', () => {
    const tokenizer = open('llama-spm');
    const template = new ChatTemplate('{{ messages[0].content }}', tokenizer.specialTexts());
    const encoder = new ConversationEncoder(tokenizer);
    const [bos] = tokenizer.frame().before;
    const encoded = (said: string): readonly number[] =>
      encoder.encode(template.render([fromText({ role: 'user', content: said })], now));
    expect(encoded('Hello')[0]).toBe(bos);
    expect(encoded('<s>Hello')[0]).toBe(bos);
    expect(encoded('<s>Hello').slice(1)).not.toContain(bos);
  });
});
