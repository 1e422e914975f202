import { z } from 'zod';

const namesSchema = z.record(z.string(), z.string()).default({});
const wordsSchema = z.union([z.string().transform((word) => [word]), z.array(z.string())]).default([]);

/** The parts of a `package-lock.json` (version 3) that say what is installed where. */
export const lockFileSchema = z.object({
  packages: z.record(z.string(), z.object({ optionalDependencies: namesSchema, os: wordsSchema, cpu: wordsSchema })),
});
export type LockFile = z.infer<typeof lockFileSchema>;

const modules = 'node_modules/';

/**
 * Lists the optional dependencies that locked packages name and that have no entry of their own, as `package:
 * dependency`. npm leaves one out when the registry lacks it while the lock is written, and installs nothing in its
 * place later, without a word.
 */
export function missingEntries({ packages }: LockFile): readonly string[] {
  return Object.entries(packages).flatMap(([path, { optionalDependencies }]) =>
    Object.keys(optionalDependencies)
      .filter((name) => !placesOf(path, name).some((place) => Object.hasOwn(packages, place)))
      .map((name) => `${path === '' ? 'package.json' : path}: ${name}`),
  );
}

/** Lists the places where Node would look for a dependency of the package at `path`, the nearest first. */
function placesOf(path: string, name: string): readonly string[] {
  const places = [`${path === '' ? '' : `${path}/`}${modules}${name}`];
  for (let at = path; at.includes('/'); at = at.slice(0, at.lastIndexOf('/'))) {
    if (at.endsWith('/node_modules')) places.push(`${at}/${name}`);
  }
  return [...places, `${modules}${name}`];
}

/** Returns the names of all packages that are for some machines only. */
export function nativePackages({ packages }: LockFile): ReadonlySet<string> {
  const native = Object.entries(packages).filter(([, { os, cpu }]) => os.length > 0 || cpu.length > 0);
  return new Set(native.map(([path]) => path.slice(path.lastIndexOf(modules) + modules.length)));
}
