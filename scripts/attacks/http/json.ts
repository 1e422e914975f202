import type { HttpTarget } from './http-attack.ts';

export const mebibyte = 1024 * 1024;
export const chatPath = '/v1/chat/completions';
export const completionPath = '/v1/completions';
export const deploymentPath = '/skein/v1/deployments';

/** An array of so many of one element, as JSON. */
export function arrayOf(element: string, count: number): string {
  return `[${`${element},`.repeat(count - 1)}${element}]`;
}

/** Something in itself, so deep. */
export function nested(open: string, close: string, depth: number): string {
  return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

/** The body of a chat, with fields as JSON. */
export function chatOf({ model }: HttpTarget, fields: Readonly<Record<string, string>> = {}): string {
  const all = {
    model: JSON.stringify(model),
    messages: '[{"role":"user","content":"Hi"}]',
    max_tokens: '4',
    ...fields,
  };
  return `{${Object.entries(all)
    .map(([name, value]) => `${JSON.stringify(name)}:${value}`)
    .join(',')}}`;
}

/** The body of a chat of one message. */
export function chatAbout(target: HttpTarget, content: string, fields: Readonly<Record<string, string>> = {}): string {
  return chatOf(target, { messages: `[{"role":"user","content":${content}}]`, ...fields });
}

/** The body of a text completion. */
export function completionOf({ model }: HttpTarget, fields: object = {}): string {
  return JSON.stringify({ model, prompt: 'once upon', max_tokens: 4, ...fields });
}
