import { once } from 'node:events';

import { removeNamespaces } from './namespaces.ts';

// The other end of standard input is held by the process whose namespaces these are: it ends when that does.
await once(process.stdin.resume(), 'end');
await removeNamespaces(process.argv.slice(2));
