import { Watchdog } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';

import { createClient, type SkeinClient } from './client.ts';
import { defaultDeadlines, type Deadlines } from './generation/deadlines.ts';
import { Endpoint } from './http/endpoint.ts';
import { HttpTransport } from './http/http-transport.ts';
import { createMeshTransport, type MeshAccess } from './mesh/create-mesh-transport.ts';
import type { Transport } from './transport.ts';

export interface ConnectOptions {
  /** Deadlines of the client's calls. Default for each one left out: that of {@link defaultDeadlines}. */
  readonly deadlines?: Partial<Deadlines>;
  /** Aborts connecting; calls have signals of their own. */
  readonly signal?: AbortSignal;
}

/** Access by way of a coordinator's HTTP API. */
export interface HttpOptions extends ConnectOptions {
  /**
   * URL of the coordinator, e.g. `http://127.0.0.1:7331`; or of several coordinators of one mesh, of which the first
   * that answers is asked, and the others take over, with the answers that run, when it goes away.
   */
  readonly url: string | readonly string[];
}

/** Access as a member of the mesh, straight to the peer that serves. */
export interface MeshOptions extends ConnectOptions {
  readonly mesh: MeshAccess;
}

/**
 * Connects to the models of a mesh.
 *
 * @throws SkeinError `not-running` when nothing answers at the URL; `deadline-exceeded` when nothing is reached within
 * `connectMs`; `not-a-member` when the directory belongs to no mesh; `invalid-request` for a malformed URL or invite,
 * and when neither `url` nor `mesh` is given
 */
export async function connect(options: HttpOptions | MeshOptions): Promise<SkeinClient> {
  assertNamed(options);
  const deadlines = { ...defaultDeadlines, ...options.deadlines };
  using watchdog = new Watchdog(options.signal);
  watchdog.expect(
    deadlines.connectMs,
    'url' in options
      ? `${String(options.url)} did not answer`
      : 'no member of the mesh answered (is `skein up` running, and can its address be dialled from here?)',
  );
  let transport: Transport | undefined;
  try {
    transport = await createTransport(options, watchdog.signal);
    await transport.connect({ signal: watchdog.signal });
  } catch (error) {
    await transport?.close();
    throw watchdog.explain(error);
  }
  return createClient(transport, deadlines);
}

/** Checks that a way to the mesh is named: a caller in JavaScript has no types, and gets an error with the fix, too. */
function assertNamed(options: HttpOptions | MeshOptions): void {
  const { url, mesh }: { readonly url?: unknown; readonly mesh?: unknown } = options;
  if (typeof url === 'string' || (Array.isArray(url) && url.length > 0) || (typeof mesh === 'object' && mesh !== null))
    return;
  throw new SkeinError(
    'invalid-request',
    'connect() needs the `url` of a coordinator, like http://127.0.0.1:7331, or a `mesh` to be a member of',
  );
}

async function createTransport(options: HttpOptions | MeshOptions, signal: AbortSignal): Promise<Transport> {
  if ('url' in options) {
    const [first = '', ...others] = [options.url].flat();
    return new HttpTransport([new Endpoint(first), ...others.map((url) => new Endpoint(url))]);
  }
  return await createMeshTransport(options.mesh, { signal });
}
