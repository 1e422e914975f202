/**
 * Whether a JSON value has more than so many characters when it is written out. Stops counting there, and counts less than
 * there are: no marks, no escapes.
 */
export function isLongerThan(value: unknown, maxCharacters: number): boolean {
  let characters = 0;
  const waiting: unknown[] = [value];
  while (waiting.length > 0 && characters <= maxCharacters) {
    const next = waiting.pop();
    characters += typeof next === 'string' ? next.length : 1;
    if (typeof next !== 'object' || next === null) continue;
    for (const [key, entry] of Object.entries(next)) {
      characters += key.length;
      waiting.push(entry);
    }
  }
  return characters > maxCharacters;
}
