import { setTimeout as delay } from 'node:timers/promises';

import { summarize, type Summary } from '../detection/summary.ts';
import { ask, type Answer, type ChatEndpoint, type ChatMessage } from './ask.ts';
import type { Conversation } from './conversations.ts';

/** Tokens of an answer, at most. */
const answerTokens = 24;

/** Figures of one run. */
export interface Figures {
  readonly requests: number;
  readonly ttftMs: Summary;
  /** Share of the prompt tokens that caches had, as the servers say. */
  readonly cachedShare: number;
  readonly seconds: number;
}

/** Holds all conversations with an endpoint, each turn with the answers that came before it. */
export async function measure(
  endpoint: ChatEndpoint,
  conversations: readonly Conversation[],
  signal: AbortSignal,
): Promise<Figures> {
  const startedMs = performance.now();
  const ended = new AbortController();
  const inTime = AbortSignal.any([signal, ended.signal]);
  const talks = conversations.map(async (conversation) => await talk(endpoint, conversation, inTime));
  try {
    const answers = (await Promise.all(talks)).flat();
    return { ...figuresOf(answers), seconds: (performance.now() - startedMs) / 1000 };
  } finally {
    // One that fails ends the run: without its requests the load is another one.
    ended.abort();
    await Promise.allSettled(talks);
  }
}

async function talk(
  endpoint: ChatEndpoint,
  { system, turns }: Conversation,
  signal: AbortSignal,
): Promise<readonly Answer[]> {
  const messages: ChatMessage[] = [{ role: 'system', content: system }];
  const answers: Answer[] = [];
  for (const { afterMs, text } of turns) {
    await delay(afterMs, undefined, { signal });
    messages.push({ role: 'user', content: text });
    const answer = await ask(endpoint, { messages, maxTokens: answerTokens, signal });
    messages.push({ role: 'assistant', content: answer.text });
    answers.push(answer);
  }
  return answers;
}

function figuresOf(answers: readonly Answer[]): Omit<Figures, 'seconds'> {
  const total = (of: (answer: Answer) => number): number => answers.reduce((sum, one) => sum + of(one), 0);
  // An answer without text has no first token.
  const times = answers.map(({ ttftMs }) => ttftMs).filter((time) => !Number.isNaN(time));
  return {
    requests: answers.length,
    ttftMs: summarize(times),
    cachedShare: total(({ cachedTokens }) => cachedTokens) / total(({ promptTokens }) => promptTokens),
  };
}
