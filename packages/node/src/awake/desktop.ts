import { existsSync } from 'node:fs';
import { version } from 'node:os';

/** Entries that a Linux has whose systemd starts a desktop: no other one goes to sleep by itself. */
const desktopEntries: readonly string[] = ['/run/systemd/system', '/etc/systemd/system/display-manager.service'];

/** Facts that tell a desktop from a server. */
export interface SystemFacts {
  readonly platform: NodeJS.Platform;
  /** Name of the edition, like `Windows 11 Pro`. */
  readonly version: string;
  readonly exists: (path: string) => boolean;
}

/** Tells whether this machine is a desktop or a laptop, which go to sleep when nobody uses them. */
export function isDesktop(
  { platform, version: edition, exists }: SystemFacts = {
    platform: process.platform,
    version: version(),
    exists: existsSync,
  },
): boolean {
  switch (platform) {
    case 'darwin':
      return true;
    case 'win32':
      return !edition.includes('Server');
    case 'linux':
      return desktopEntries.every(exists);
    default:
      return false;
  }
}
