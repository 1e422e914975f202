/**
 * Returns the words after `skein join` without the command itself: a person may have pasted the invite alone, or the
 * whole line that `skein up` printed, as one word or as several. More than one word left is more than an invite.
 */
export function withoutCommand(words: readonly string[]): readonly string[] {
  const pasted = words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '' && word !== '$');
  const start = pasted.findIndex((word) => !['npx', 'skein', 'join'].includes(word));
  return start === -1 ? [] : pasted.slice(start);
}

/** Replaces the secrets of invites in a text: they must not get into a terminal's history or a log by way of an error. */
export function withoutInvites(text: string): string {
  return text.replaceAll(/skein1-[\w-]+/g, 'skein1-…');
}
