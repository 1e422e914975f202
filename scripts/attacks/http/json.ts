import type { HttpTarget } from './http-attack.ts';

export const mebibyte = 1024 * 1024;
export const chatPath = '/v1/chat/completions';
export const completionPath = '/v1/completions';
export const deploymentPath = '/skein/v1/deployments';

/** Returns an array with `count` times the same element, as JSON. */
export function arrayOf(element: string, count: number): string {
  return `[${`${element},`.repeat(count - 1)}${element}]`;
}

/** Returns brackets nested `depth` levels deep, as JSON. */
export function nested(open: string, close: string, depth: number): string {
  return `${open.repeat(depth)}1${close.repeat(depth)}`;
}

/** Returns the body of a chat. `fields` are in JSON and replace the usual ones. */
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

/** Returns the body of a chat of one message. `content` and `fields` are in JSON. */
export function chatAbout(target: HttpTarget, content: string, fields: Readonly<Record<string, string>> = {}): string {
  return chatOf(target, { messages: `[{"role":"user","content":${content}}]`, ...fields });
}

/** Returns the body of a text completion. `fields` replace the usual ones. */
export function completionOf({ model }: HttpTarget, fields: object = {}): string {
  return JSON.stringify({ model, prompt: 'once upon', max_tokens: 4, ...fields });
}
