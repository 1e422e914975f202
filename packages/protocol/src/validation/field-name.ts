/** Longest name in a message, in characters: the sender of the value may have chosen parts of it. */
const maxLength = 200;

/**
 * Returns the name of a value's place in a message, like `messages[0].content`; empty for the whole. No control
 * characters.
 */
export function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) {
    if (typeof key === 'number') name += `[${key}]`;
    else name += `${name === '' ? '' : '.'}${String(key)}`;
  }
  return name.replaceAll(/\p{Cc}/gu, '').slice(0, maxLength);
}
