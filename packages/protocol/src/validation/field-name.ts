/** Longest name that a message repeats: parts of it may come from whoever sent the value. */
const maxLength = 200;

/** Names the place of a value in what was sent, like `messages[0].content`. Empty for the whole. */
export function fieldName(path: readonly PropertyKey[]): string {
  let name = '';
  for (const key of path) {
    if (typeof key === 'number') name += `[${key}]`;
    else name += `${name === '' ? '' : '.'}${String(key)}`;
  }
  return name.replaceAll(/\p{Cc}/gu, '').slice(0, maxLength);
}
