// Finds a Node that runs Skein and runs a script on it. Plain JavaScript that Node 14 can parse, because this is what an
// old Node gets to see; everything else in the repository is TypeScript, which Node 24 runs as it is.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';

import { missingRequirements, systemFacts } from './requirements.js';

const neededMajor = 24;

/**
 * Runs `script` with `args`: in this process when its Node is new enough, else in a child on the Node that npm
 * installed with Skein, and then ends as the child ends. Without either it prints the fix and sets exit code 1. Warns of
 * what the system lacks for models to run, unless the command is the doctor, which lists that among its findings.
 *
 * @param {object} options
 * @param {string} options.script absolute path
 * @param {readonly string[]} options.args
 * @param {string} options.searchFrom directory at which the search for an installed Node starts; it goes upward from
 * there
 */
export async function runOnNode24(options) {
  const { script, args, searchFrom } = options;
  const missing = missingRequirements(systemFacts());
  const warn = () =>
    missing.forEach(({ what, fix }) =>
      process.stderr.write(`warning: no model can run on this machine: ${what}; ${fix}\n`),
    );
  const isDoctor = args.indexOf('doctor') !== -1;
  if (!isDoctor) warn();
  if (isNewEnough(process.version)) {
    process.argv = [process.execPath, script].concat(args);
    await import(pathToFileURL(script).href);
    return;
  }
  const node = findInstalledNode(searchFrom, process.platform, process.arch);
  if (node === undefined) {
    if (isDoctor) warn();
    process.stderr.write(missingNodeMessage(process.version, process.platform, process.arch));
    process.exitCode = 1;
    return;
  }
  const fix = missing.length === 0 ? '; run `npm ci` to install it again' : '';
  runAsChild(node, [script].concat(args), fix);
}

/**
 * Tells whether a version of Node runs Skein.
 *
 * @param {string} version as in `process.version`
 */
export function isNewEnough(version) {
  return Number(version.slice(1).split('.')[0]) >= neededMajor;
}

/**
 * Finds the Node that came as an optional npm dependency, in the nearest `node_modules` that has one.
 *
 * @param {string} directory where to start
 * @param {string} platform as in `process.platform`
 * @param {string} arch as in `process.arch`
 * @returns {string | undefined} path of the binary; undefined when there is none
 */
export function findInstalledNode(directory, platform, arch) {
  const binary = platform === 'win32' ? 'node.exe' : 'node';
  for (const modules of nodeModulesUpward(directory)) {
    const packaged = join(modules, packageName(platform, arch), 'bin', binary);
    if (existsSync(packaged)) return packaged;
    // npm puts a shell script here on Windows, which can't be started as a program.
    const linked = join(modules, '.bin', 'node');
    if (platform !== 'win32' && existsSync(linked)) return linked;
  }
  return undefined;
}

/**
 * Returns the message, with its fixes, for a person whose Node is too old.
 *
 * @param {string} version as in `process.version`
 * @param {string} platform as in `process.platform`
 * @param {string} arch as in `process.arch`
 */
export function missingNodeMessage(version, platform, arch) {
  return [
    `error: Skein needs Node ${neededMajor} or newer; this is Node ${version.slice(1)} on ${platform} ${arch}`,
    'Do one of these:',
    `  - install Node ${neededMajor} (LTS) with your package manager or version manager, e.g. \`nvm install ${neededMajor}\` or \`fnm use ${neededMajor}\``,
    '  - in a checkout of Skein run `npm ci` without `--omit=optional`: it brings its own Node for Linux (x64, arm64),',
    '    macOS (Apple silicon, Intel) and Windows (x64), and leaves yours as it is',
    '',
  ].join('\n');
}

function packageName(platform, arch) {
  return `node-${platform === 'win32' ? 'win' : platform}-${arch}`;
}

function nodeModulesUpward(directory) {
  const found = [join(directory, 'node_modules')];
  for (let at = directory; dirname(at) !== at; at = dirname(at)) found.push(join(dirname(at), 'node_modules'));
  return found;
}

function runAsChild(node, args, fix) {
  const child = spawn(node, args, { stdio: 'inherit', windowsHide: true });
  // A terminal signals the child, too; the child takes signals that come together as one.
  // Windows has no signals to forward: kill() there would end the child with no chance to tidy up.
  const forward = (signal) => process.platform !== 'win32' && child.kill(signal);
  ['SIGINT', 'SIGBREAK', 'SIGTERM', 'SIGHUP'].forEach((signal) => process.on(signal, forward));
  child.on('error', (error) => {
    process.stderr.write(`error: can't start ${node}: ${error.message}${fix}\n`);
    process.exitCode = 1;
  });
  child.on('exit', (code, signal) => {
    // 128 + number is how shells report a process that a signal ended.
    process.exitCode = signal === null ? code : 128 + constants.signals[signal];
  });
}
