import { randomInt, randomUUID } from 'node:crypto';
import { join } from 'node:path';

import { isLoopbackHost, LeaseFile, type Mesh } from '@skein/mesh';
import { silentLogger, SkeinError, type Logger } from '@skein/protocol';

import { Admission } from './admission/index.ts';
import { deploymentEvent, noAudit, Requests, type AuditPort } from './audit/index.ts';
import { Canaries, canaryEvent, logVerdict } from './canaries/index.ts';
import { Deployments, DesiredFile, type ComingModel, type DeploymentsOptions } from './deployments/index.ts';
import type { Hono } from 'hono';
import { createApp, HttpServer } from './http/index.ts';
import { DesiredCopies, forgetfulLeases, LeaseKeeper, Placer } from './lease/index.ts';
import { createRouter, type RouterOptions } from './routing/index.ts';
import { administrationOf } from './administration.ts';
import { schedule } from './timers.ts';

export interface CoordinatorOptions {
  /** The mesh to serve, started and stopped by its owner. */
  readonly mesh: Mesh;
  /** Loopback address or `localhost` to listen on. Default `127.0.0.1`. */
  readonly host?: string | undefined;
  /** TCP port; 0 takes any free one. Default 7331. */
  readonly port?: number | undefined;
  /** A model that its owner is about to deploy, and may have to get first: requests for it wait for that. Default: none. */
  readonly coming?: ComingModel | undefined;
  /** Data directory, in which the last lease and the desired deployments are kept. Default: they end with this process. */
  readonly directory?: string | undefined;
  /** Audit log of requests and deployments, opened and closed by its owner. Default: none. */
  readonly audit?: AuditPort | undefined;
  /** Logger. Default: silent. */
  readonly logger?: Logger | undefined;
  /** Defaults and timeouts of deployments. */
  readonly defaults?: DeploymentsOptions | undefined;
  /** Longest silences of a lead before its request ends with `deadline-exceeded`. Default 300 s, then 60 s. */
  readonly deadlines?: RouterOptions | undefined;
}

/** Longest time for requests to be recorded once everything was stopped, in milliseconds. */
const settleMs = 2000;

/** File of the data directory with the last lease of this coordinator. */
const leaseFileName = 'lease.json';

/** The coordinator of one mesh: it plans, deploys, routes and serves the HTTP API. */
export interface Coordinator {
  /** The requests that wait and run. */
  readonly admission: Pick<Admission, 'status'>;
  /** The deployments of the mesh, which this coordinator places itself or has placed by the one that does. */
  readonly deployments: Placer;
  /** Base URL, e.g. `http://127.0.0.1:7331`; OpenAI clients append `/v1`. Throws `not-running` unless started. */
  readonly url: string;
  /** The HTTP API, for other listeners beside the TCP port. */
  readonly api: Pick<Hono, 'fetch'>;
  /**
   * Takes up the deployments that were kept, and listens. Does nothing when running. Throws `already-running` when the port
   * is taken, `disk-failed` when the deployments can't be read.
   */
  start(): Promise<void>;
  /**
   * Ends all generations that pass through here and closes the port. Peers keep what serves for a while, for a coordinator
   * that starts again. For good; does nothing when stopped.
   */
  stop(): Promise<void>;
}

/** Throws `invalid-request` for a host beyond loopback: without keys, everyone in reach could use the machines. */
export function createCoordinator(options: CoordinatorOptions): Coordinator {
  const { mesh, host = '127.0.0.1', port = 7331, coming, logger = silentLogger, audit = noAudit } = options;
  if (!isLoopbackHost(host)) {
    throw new SkeinError(
      'invalid-request',
      `this version serves HTTP on this machine only, not on ${host}: it has no API keys yet; use 127.0.0.1`,
    );
  }
  const shared = { logger, newId: randomUUID, now: Date.now };
  const keeper = new LeaseKeeper({
    mesh,
    logger,
    schedule,
    elapsedMs: () => performance.now(),
    store:
      options.directory === undefined
        ? forgetfulLeases
        : new LeaseFile(join(options.directory, leaseFileName), mesh.membership.mesh),
  });
  const copies =
    options.directory === undefined
      ? undefined
      : new DesiredCopies({ mesh, keeper, file: new DesiredFile(options.directory, logger), logger, schedule });
  const deployments = new Placer({
    mesh,
    keeper,
    coming,
    logger,
    schedule,
    createDeployments: ({ lease }) =>
      new Deployments(
        {
          mesh,
          coming,
          admission: () => admission.status(),
          store: copies,
          lease,
          onReplaced: (accepted) => keeper.refused(accepted),
          onTransition: (status, before) => {
            const event = deploymentEvent(status, before);
            if (event !== undefined) void audit.append(event);
          },
          ...shared,
        },
        options.defaults,
      ),
  });
  const requests = new Requests({ audit, now: shared.now });
  const stopped = new AbortController();
  const canaries = new Canaries({
    mesh,
    deployments,
    schedule,
    now: () => performance.now(),
    random: Math.random,
    newId: randomUUID,
    onReport: (report) => {
      void audit.append(canaryEvent(report));
      logVerdict(logger, report);
    },
    onError: (error) => logger.debug({ code: error.code, reason: error.message }, 'a canary got no answer'),
  });
  const router = createRouter({ mesh, deployments, canaries, coming }, options.deadlines);
  const admission = new Admission({
    replicas: {
      sequencesOf: (model) => router.sequencesOf(model),
      prepare: async (model) => await router.prepare(model, { signal: stopped.signal }),
    },
    onEnter: (model) => deployments.uses(model),
    schedule,
    nowMs: () => performance.now(),
  });
  const unwatch = mesh.cards.onChange(() => admission.refresh());
  const app = createApp({
    generations: router,
    admission,
    requests,
    administration: administrationOf({ mesh, deployments, admission }),
    stopped: stopped.signal,
    randomSeed: () => randomInt(2 ** 32),
    schedule,
    ...shared,
  });
  const server = new HttpServer(app, { host, port });
  let url: string | undefined;
  let starting: Promise<void> | undefined;
  let stopping: Promise<void> | undefined;
  let prefixes: Disposable | undefined;

  async function start(): Promise<void> {
    copies?.start();
    await keeper.start();
    deployments.start();
    url = await server.start();
    void audit.append({ type: 'started', peer: mesh.peerId, url });
    logger.info({ url }, 'the HTTP API is up');
    canaries.start();
    prefixes = router.followPrefixes(logger);
  }
  async function stop(): Promise<void> {
    await starting?.catch(() => undefined);
    unwatch();
    prefixes?.[Symbol.dispose]();
    canaries.stop();
    stopped.abort(new SkeinError('not-running', 'the coordinator is stopping'));
    await Promise.all([server.stop(), deployments.stop()]);
    await keeper.stop();
    copies?.stop();
    await requests.settle({ timeoutMs: settleMs });
    if (url !== undefined) void audit.append({ type: 'stopped' });
    url = undefined;
  }
  return {
    deployments,
    admission,
    api: app,
    get url() {
      if (url === undefined) throw new SkeinError('not-running', 'the coordinator is not running; start it first');
      return url;
    },
    async start() {
      if (stopping !== undefined) throw new SkeinError('not-running', 'the coordinator was stopped; create a new one');
      starting ??= start();
      await starting;
    },
    async stop() {
      stopping ??= stop();
      await stopping;
    },
  };
}
