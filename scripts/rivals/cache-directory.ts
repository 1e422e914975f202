import { homedir } from 'node:os';
import { isAbsolute, join } from 'node:path';

/**
 * Returns the directory for results that take long to make, kept between runs, outside the sources: `skein` below
 * `$XDG_CACHE_HOME`, else below `~/.cache`.
 */
export function cacheDirectory(environment: NodeJS.ProcessEnv = process.env): string {
  const { XDG_CACHE_HOME: configured = '' } = environment;
  // The specification has relative paths ignored.
  return join(isAbsolute(configured) ? configured : join(homedir(), '.cache'), 'skein');
}
