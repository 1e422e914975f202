/** Returns the sentence about a machine that does not go to sleep, for the moment when that begins; none for others. */
export function awakeNote(keepAwake: boolean): readonly string[] {
  return keepAwake ? ['This machine stays awake while it holds a stage (--no-keep-awake lets it sleep).'] : [];
}
