import { SkeinError } from '@skein/protocol';

/** A thing that people name by its id, a part of it, or a name that others may have, too. */
export interface Identified {
  readonly id: string;
  readonly name?: string;
}

/** Most candidates that a message lists. */
const maxListed = 10;

/**
 * Returns the id of the one candidate that `text` stands for: its id, its name, or enough of the id's start or end to
 * exclude all others. Takes `…WbfR2x` as `skein status` prints it.
 *
 * @throws SkeinError `not-found` when there is none, `invalid-request` with the candidates when there are several
 */
export function resolveId(
  text: string,
  candidates: readonly Identified[],
  /** The kind of candidate, such as `member`, and the command that lists them. */
  { kind, list }: { readonly kind: string; readonly list: string },
): string {
  const part = text.replace(/^(…|\.\.\.)/, '');
  if (part === '') throw new SkeinError('invalid-request', `name a ${kind}; see \`${list}\``);
  if (candidates.some(({ id }) => id === text)) return text;
  const found = candidates.filter(({ id, name }) => name === text || id.startsWith(part) || id.endsWith(part));
  const [first, ...others] = found;
  if (first === undefined) {
    throw new SkeinError('not-found', `there is no ${kind} ${text.slice(0, 100)}; see \`${list}\``);
  }
  if (others.length === 0) return first.id;
  const shown = found.slice(0, maxListed).map(({ id, name }) => (name === undefined ? id : `${name} ${id}`));
  const more = found.length > maxListed ? ` and ${found.length - maxListed} more` : '';
  throw new SkeinError(
    'invalid-request',
    `${text.slice(0, 100)} stands for several: ${shown.join(', ')}${more}; give the whole id`,
  );
}
