import { createInterface } from 'node:readline';

import { Relay, type RelayConditions, type RelayOptions } from './relay.ts';

/** A command to a relay in a process of its own, as a line of JSON. Each is answered by one line. */
export type RelayCommand =
  { readonly do: 'cut' | 'restore' | 'reset' } | { readonly do: 'set'; readonly change: Partial<RelayConditions> };

const options = JSON.parse(process.argv[2] ?? '') as RelayOptions;
await using relay = await Relay.listen(options);
const answer = (): void => console.log(JSON.stringify({ port: relay.port }));

answer();
for await (const line of createInterface(process.stdin)) {
  const command = JSON.parse(line) as RelayCommand;
  if (command.do === 'set') relay.set(command.change);
  else relay[command.do]();
  answer();
}
