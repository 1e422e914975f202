import { execute, ip } from './execute.ts';
import { newNames, pathOf, removeNamespaces } from './namespaces.ts';
import { tbf } from './tbf.ts';

let answer: Promise<string | undefined> | undefined;

/**
 * Returns the things that this machine lacks for hosts in namespaces, as a reason to skip; undefined when it has them
 * all. Looks once.
 */
export async function missingForLan(): Promise<string | undefined> {
  return await (answer ??= findMissing());
}

async function findMissing(): Promise<string | undefined> {
  if (process.platform !== 'linux') return 'hosts in network namespaces need Linux';
  if (process.getuid?.() !== 0) return 'hosts in network namespaces need root';
  for (const [command, flag] of [
    ['ip', '-V'],
    ['tc', '-V'],
    ['nsenter', '--version'],
  ] as const) {
    const isThere = await execute(command, [flag]).then(
      () => true,
      () => false,
    );
    if (!isThere) return `hosts in network namespaces need the command ${command} (packages iproute2 and util-linux)`;
  }
  return await tryFacilities();
}

/** Tries the facilities. Kernels and sandboxes differ; only use shows whether one has a facility. */
async function tryFacilities(): Promise<string | undefined> {
  const [name = ''] = await newNames(['probe']);
  const facilities: readonly [string, () => Promise<unknown>][] = [
    ['network namespaces', async () => await ip([`netns add ${name}`])],
    ['entering of a network namespace', async () => await execute('nsenter', [`--net=${pathOf(name)}`, '--', 'true'])],
    ['bridges', async () => await ip(['link add bridge type bridge mcast_snooping 0'], name)],
    [
      'veth pairs',
      async () => await ip(['link add port type veth peer name eth0', 'link set port master bridge'], name),
    ],
    ['tbf', async () => await execute('tc', ['-netns', name, 'qdisc', 'add', 'dev', 'port', 'root', ...tbf(100)])],
  ];
  try {
    for (const [facility, attempt] of facilities) {
      const problem = await attempt().then(
        () => undefined,
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      if (problem !== undefined) return `this kernel or sandbox has no ${facility}: ${problem.split('\n')[0]}`;
    }
    return undefined;
  } finally {
    await removeNamespaces([name]);
  }
}
