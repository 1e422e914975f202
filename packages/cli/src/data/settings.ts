import { join } from 'node:path';

import { readFileIfAny, replaceSecretFile } from '@skein/mesh';
import { checkJson, SkeinError } from '@skein/protocol';
import { z } from 'zod';

const fileName = 'settings.json';
const maxFileBytes = 256 * 1024;

const settingSchema = z.union([z.boolean(), z.string(), z.array(z.string()).readonly()]);
const settingsSchema = z.record(z.string(), settingSchema);

/** A value of an option, as it is typed: a switch, a text, or the texts of an option that is repeated. */
export type Setting = z.infer<typeof settingSchema>;

/** Values of options by their names, as the last start of a machine's daemon left them. */
export type Settings = Readonly<Record<string, Setting>>;

/** Returns the path of the settings in a data directory. */
export function settingsPath(directory: string): string {
  return join(directory, fileName);
}

/**
 * Loads the settings of a data directory; none where nothing was saved.
 *
 * @throws SkeinError `disk-failed` when they can't be read, `invalid-request` when they are damaged: a machine that
 * starts otherwise than its owner had said would be worse than one that does not
 */
export async function loadSettings(directory: string): Promise<Settings> {
  const path = settingsPath(directory);
  const stored = await readFileIfAny(path, { maxBytes: maxFileBytes });
  if (stored === undefined) return {};
  const checked = checkJson(settingsSchema, stored);
  if (checked.ok) return checked.data;
  throw new SkeinError('invalid-request', `${path} is damaged (${checked.problem}); mend it, or delete it`);
}

/**
 * Saves the settings in a data directory.
 *
 * @throws SkeinError `disk-failed` when they can't be written; the old ones stay then
 */
export async function saveSettings(directory: string, settings: Settings): Promise<void> {
  await replaceSecretFile(settingsPath(directory), Buffer.from(`${JSON.stringify(settings, undefined, 2)}\n`));
}
