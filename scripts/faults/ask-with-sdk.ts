import type { SkeinClient } from '@skein/client';
import { isSkeinError } from '@skein/protocol';

import { AnswerRecord } from './answer-record.ts';
import type { Answer } from './client-messages.ts';
import type { RunRequest } from './requests.ts';

/** Asks for a chat as the SDK's users do, and follows the answer. Never throws. */
export async function askWithSdk(sdk: SkeinClient, { question, settings, model }: RunRequest): Promise<Answer> {
  const record = new AnswerRecord(1);
  try {
    const generation = sdk.chat({ messages: [{ role: 'user', content: question }], ...settings, model });
    for await (const { text, tokens = [] } of generation) record.add(0, text, tokens);
    const { finishReason, usage } = await generation.result();
    record.finish(0, finishReason);
    record.usage = usage;
    return record.ended('complete');
  } catch (error) {
    const code = isSkeinError(error) ? error.code : 'not-understood';
    return record.ended('error', { code, message: error instanceof Error ? error.message : String(error) });
  }
}
