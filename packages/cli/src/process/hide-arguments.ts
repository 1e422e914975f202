/**
 * Removes the arguments from the system's list of processes, where every user of the machine can read them: an invite
 * is a secret, and a prompt is private. The command's name stays.
 */
export function hideArguments(process: { title: string; readonly argv: readonly string[] }): void {
  const [, , command = ''] = process.argv;
  process.title = /^[a-z]+$/.test(command) ? `skein ${command}` : 'skein';
}
