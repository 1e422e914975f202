import { addMissing, goldenFiles } from './golden-files.ts';

/** Adds golden bytes of new messages. Those of messages that members send already are never changed. */
for (const file of goldenFiles()) {
  const added = await addMissing(file);
  if (added > 0) process.stdout.write(`${file.name}: ${added} added\n`);
}
