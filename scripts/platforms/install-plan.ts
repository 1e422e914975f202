import { spawn } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';

/**
 * Makes a directory with what `npm ci` reads of a checkout: the lock file, its settings and each `package.json`. Nothing
 * is installed there, so npm's plan is the whole installation.
 */
export async function copyPackageFiles(checkout: string): Promise<AsyncDisposable & { readonly directory: string }> {
  const directory = await mkdtemp(join(tmpdir(), 'skein-platforms-'));
  const packages = (await readdir(join(checkout, 'packages'))).map((name) => join('packages', name));
  await Promise.all(packages.map((path) => mkdir(join(directory, path), { recursive: true })));
  const files = ['package-lock.json', '.npmrc', ...['', ...packages].map((path) => join(path, 'package.json'))];
  await Promise.all(files.map((file) => copyFile(join(checkout, file), join(directory, file))));
  return { directory, [Symbol.asyncDispose]: () => rm(directory, { recursive: true }) };
}

/**
 * Returns the names of the packages that `npm ci` would install on a kind of machine. Nothing is asked of a registry.
 *
 * @throws Error with npm's words when it refuses
 */
export async function plannedPackages(
  directory: string,
  { os, cpu }: { readonly os: string; readonly cpu: string },
): Promise<readonly string[]> {
  const npm = process.env['npm_execpath'];
  // `npm run --silent` would hand its silence down.
  const settings = ['ci', '--dry-run', '--offline', '--loglevel=notice', `--os=${os}`, `--cpu=${cpu}`];
  if (os === 'linux') settings.push('--libc=glibc');
  const [command, args] = npm === undefined ? ['npm', settings] : [process.execPath, [npm, ...settings]];
  const child = spawn(command, args, { cwd: directory, stdio: ['ignore', 'pipe', 'pipe'], windowsHide: true });
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', resolve);
  });
  const [output, complaints, code] = await Promise.all([text(child.stdout), text(child.stderr), ended]);
  if (code !== 0) throw new Error(`npm ci --os=${os} --cpu=${cpu} ended with ${code}:\n${complaints}`);
  return [...output.matchAll(/^add (\S+) /gm)].flatMap(([, name]) => name ?? []);
}
