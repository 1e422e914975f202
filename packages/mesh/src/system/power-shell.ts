import { execFile } from 'node:child_process';
import { win32 } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** Longest run unless the caller says so, in milliseconds: the first one after the start of the system takes seconds. */
const defaultTimeoutMs = 20_000;

/**
 * Runs a script in the PowerShell that is part of Windows, and returns what it wrote.
 *
 * @param options.variables environment variables of the script: what is put there needs no quoting
 * @param options.timeoutMs longest run, in milliseconds. Default: 20,000
 * @throws Error when it can't be run, fails, or takes too long
 */
export async function runPowerShell(
  script: string,
  options: { readonly variables?: Readonly<Record<string, string>>; readonly timeoutMs?: number } = {},
): Promise<string> {
  const { variables = {}, timeoutMs = defaultTimeoutMs } = options;
  // By its full path: a name would be looked for in the current directory first.
  const directory = win32.join(process.env['SystemRoot'] ?? String.raw`C:\Windows`, 'System32', 'WindowsPowerShell');
  const { stdout } = await run(
    win32.join(directory, 'v1.0', 'powershell.exe'),
    ['-NoProfile', '-NonInteractive', '-Command', script],
    { timeout: timeoutMs, windowsHide: true, env: { ...process.env, ...variables } },
  );
  return stdout;
}
