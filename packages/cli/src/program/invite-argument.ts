/**
 * What was pasted after `skein join`, without the command: the invite itself may have come, or the whole line that
 * `skein up` printed, as one word or as several. More than one word left is more than an invite.
 */
export function withoutCommand(words: readonly string[]): readonly string[] {
  const pasted = words.flatMap((word) => word.split(/\s+/)).filter((word) => word !== '' && word !== '$');
  const start = pasted.findIndex((word) => !['npx', 'skein', 'join'].includes(word));
  return start === -1 ? [] : pasted.slice(start);
}

/** Text without the secrets of invites in it: they must not get into a terminal's history or a log by way of an error. */
export function withoutInvites(text: string): string {
  return text.replaceAll(/skein1-[\w-]+/g, 'skein1-…');
}
