// Runs the command, on Node 24: in the process that lives for as long as the command does. Started by skein.js, which finds
// that Node. This file is plain JavaScript that Node 14 can parse, and imports the rest once it knows that this Node is new.
import { setFlagsFromString } from 'node:v8';

import { isNewEnough, missingNodeMessage } from './node-24.js';

if (!isNewEnough(process.version)) {
  process.stderr.write(missingNodeMessage(process.version, process.platform, process.arch));
  process.exit(1);
}

// Keeps the space of young objects at the 1 MB that it starts with. While modules are loaded V8 lets it grow to 32 MB, and a
// daemon under load to more; it holds those ever after. The price is a collection of a millisecond in 25 tokens. V8 looks
// at this flag each time that the space would grow, so a running V8 obeys it as well.
setFlagsFromString('--semi-space-growth-factor=1');

// Collects old objects once the heap has grown by a fifth, rather than to a multiple of what lives. A daemon keeps some 30 MB
// alive, but each request leaves objects that outlive the space of young ones: after 3,000 short requests V8 held 283 MB
// of a peer and kept them when it fell idle; with this it is 143 MB, for the same CPU time.
setFlagsFromString('--heap-growing-percent=20');

await import('@skein/node/loader');
await import('../src/main.ts');
