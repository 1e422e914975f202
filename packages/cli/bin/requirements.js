// Checks what the native code that comes with Skein needs of the operating system. Plain JavaScript that Node 14 can parse,
// because the launcher asks on whatever Node there is.
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { join } from 'node:path';

/** Oldest versions with which llama.cpp's libraries load, as node-llama-cpp builds them. */
export const oldest = { glibc: '2.34', macos: 14 };

/** Libraries of the Visual C++ 2015–2022 runtime that they need. */
const visualCppLibraries = ['msvcp140.dll', 'vcruntime140.dll', 'vcruntime140_1.dll'];

/** Finds the facts about this machine that {@link missingRequirements} judges. */
export function systemFacts() {
  const system = { platform: process.platform, arch: process.arch, release: release() };
  if (process.platform === 'linux') return Object.assign(system, { glibc: glibcVersion() });
  if (process.platform !== 'win32') return system;
  const directory = join(process.env.SystemRoot || 'C:\\Windows', 'System32');
  const missing = visualCppLibraries.filter((library) => !existsSync(join(directory, library)));
  return Object.assign(system, { missingLibraries: missing });
}

/**
 * Lists what llama.cpp needs and a machine lacks, each with the fix. A machine that lacks something can still coordinate
 * and ask others.
 *
 * @param {object} facts
 * @param {string} facts.platform as in `process.platform`
 * @param {string} facts.arch as in `process.arch`
 * @param {string} facts.release release of the operating system's kernel
 * @param {string} [facts.glibc] version of glibc; absent where there is none
 * @param {readonly string[]} [facts.missingLibraries] libraries that Windows does not have
 */
export function missingRequirements(facts) {
  if (facts.platform === 'linux') return missingOnLinux(facts);
  if (facts.platform === 'darwin') return missingOnMac(facts);
  return facts.platform === 'win32' ? missingOnWindows(facts) : [];
}

function missingOnLinux({ glibc }) {
  const fix = `use a system with glibc ${oldest.glibc} or newer, such as Debian 12, Ubuntu 22.04, Fedora 36, RHEL 9 or Raspberry Pi OS 12`;
  if (glibc === undefined) {
    return [{ what: 'llama.cpp needs glibc, and this system has another C library (musl?)', fix }];
  }
  if (!isOlder(glibc, oldest.glibc)) return [];
  return [{ what: `llama.cpp needs glibc ${oldest.glibc} or newer, and this system has ${glibc}`, fix }];
}

function missingOnMac({ release }) {
  const darwin = Number(release.split('.')[0]);
  // Darwin 23 is macOS 14; from Darwin 25 on, which is macOS 26, the distance is one.
  const macos = darwin < 25 ? darwin - 9 : darwin + 1;
  if (!(macos < oldest.macos)) return [];
  return [{ what: `llama.cpp needs macOS ${oldest.macos} or newer, and this is macOS ${macos}`, fix: 'update macOS' }];
}

function missingOnWindows({ arch, missingLibraries = [] }) {
  if (missingLibraries.length === 0) return [];
  return [
    {
      what: `llama.cpp needs the Visual C++ 2015–2022 runtime, and this system lacks ${missingLibraries.join(', ')}`,
      fix: `run \`winget install Microsoft.VCRedist.2015+.${arch}\``,
    },
  ];
}

/** Returns the version of the glibc that runs this process; undefined where there is another C library. */
function glibcVersion() {
  // Without it Node would ask for the names of all addresses that it talks to.
  process.report.excludeNetwork = true;
  return process.report.getReport().header.glibcVersionRuntime;
}

function isOlder(version, than) {
  const [major, minor] = version.split('.').map(Number);
  const [otherMajor, otherMinor] = than.split('.').map(Number);
  return major < otherMajor || (major === otherMajor && minor < otherMinor);
}
