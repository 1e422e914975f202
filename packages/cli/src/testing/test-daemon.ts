import { mkdtempDisposable, realpath } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { AdminHandlers, LocalAppComponents } from '@skein/coordinator';
import { silentLogger, type DaemonStatus } from '@skein/protocol';

import { openControlServer } from '../control/control-server.ts';
import { controlSocketPath } from '../control/socket-path.ts';
import { notCoordinating } from '../daemon/not-coordinating.ts';

/** A data directory, and the path of the socket that its daemon listens at. */
export interface TestPlace extends AsyncDisposable {
  readonly directory: string;
  readonly path: string;
}

/** A status that a daemon of a test gives. */
export const exampleStatus: DaemonStatus = {
  pid: 42,
  peer: '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2',
  startedAtMs: 1,
  hasIdentityConflict: false,
  traffic: { total: { sentBytes: 1, receivedBytes: 2 }, peers: {} },
  cards: [],
};

/** Makes a data directory of its own in which no daemon runs. */
export async function temporaryPlace(): Promise<TestPlace> {
  const root = await mkdtempDisposable(join(tmpdir(), 'skein-cli-'));
  const directory = await realpath(root.path);
  const path = await controlSocketPath(directory, { platform: process.platform });
  return { directory, path, [Symbol.asyncDispose]: root[Symbol.asyncDispose] };
}

/** Makes the components of a daemon's socket, with the handlers that a test needs. Without `api` it does not coordinate. */
export function testComponents(
  administration: Partial<AdminHandlers<'local'>>,
  api?: LocalAppComponents['api'],
): LocalAppComponents {
  return {
    administration: administration as AdminHandlers<'local'>,
    api:
      api ??
      (() => {
        throw notCoordinating();
      }),
    logger: silentLogger,
  };
}

/** Makes a data directory in which a daemon seems to run. */
export async function startTestDaemon(...components: Parameters<typeof testComponents>): Promise<TestPlace> {
  await using stack = new AsyncDisposableStack();
  const { directory, path } = stack.use(await temporaryPlace());
  stack.use(await openControlServer(path, testComponents(...components)));
  const started = stack.move();
  return { directory, path, [Symbol.asyncDispose]: async () => await started.disposeAsync() };
}
