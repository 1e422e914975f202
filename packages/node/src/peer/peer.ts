import { join } from 'node:path';

import { LeaseFile, schedule, type Mesh, type Schedule } from '@skein/mesh';
import { isolated, silentLogger, toLog, type HeldModel, type Logger } from '@skein/protocol';

import type { Backend } from '../hardware/backend.ts';
import { detectHardware } from '../hardware/detect.ts';
import type { GpuOptions } from '../hardware/gpu-options.ts';
import { Machine } from '../hardware/machine.ts';
import { findRuntime } from '../hardware/runtime-libraries.ts';
import { serveModels, type ModelStore } from '../store/index.ts';
import { LeaseFence } from './lease-fence.ts';
import { LeaseWatch } from './lease-watch.ts';
import { PeerDrain } from './peer-drain.ts';
import { LinkMeasurements } from './link-measurements.ts';
import { MeasuredSpeeds } from './measured-speeds.ts';
import { Reservations } from './reservations.ts';
import { StageHost } from './stage-host.ts';

export interface PeerOptions {
  readonly mesh: Mesh;
  readonly store: ModelStore;
  /** Directory of the data: stage files lie in `<directory>/stages`. */
  readonly directory: string;
  /** Default: none. */
  readonly logger?: Logger;
  /** Backend of the engine. Default: the first that has a GPU, and the CPU where none has. */
  readonly backend?: Backend | 'auto';
  /** GPUs to use, and how stages are spread over them. Default: all with memory of their own, evenly. */
  readonly gpuOptions?: GpuOptions | undefined;
  /** Engine threads of a stage. Default: the machine's physical cores. */
  readonly threads?: number | undefined;
  /** Whether this machine stays awake while it holds a stage. Default false. */
  readonly keepAwake?: boolean | undefined;
  /** Timers of the grace time of stages that no coordinator holds. Default: the machine's own. */
  readonly schedule?: Schedule | undefined;
}

interface Serving {
  readonly machine: Machine;
  readonly speeds: MeasuredSpeeds;
  readonly host: StageHost;
  readonly links: LinkMeasurements;
  readonly leases: LeaseWatch;
  readonly drain: PeerDrain;
  readonly reservations: Reservations;
}

export interface Peer {
  /**
   * Detects the hardware, then serves.
   *
   * @throws SkeinError `engine-incompatible` for a backend that does not work here; the reason of the signal
   */
  start(options?: { readonly signal?: AbortSignal | undefined }): Promise<void>;
  /** Ends every stage and its process. */
  stop(): Promise<void>;
  /** Announces the store's present models to the mesh. Call it after a pull. */
  announceModels(): Promise<void>;
}

/** File of the data directory with the greatest lease that this peer has accepted. */
const fenceFileName = 'accepted-lease.json';
/** Pause between two looks at the free memory and at the store's models, in milliseconds. */
const refreshIntervalMs = 5000;
/** Time after which the detection of the hardware is said to be slow, in milliseconds. */
const slowDetectionMs = 10_000;
const slowDetection =
  "still looking at this machine's hardware: it is slow or busy, or a GPU's driver hangs; --backend cpu leaves GPUs alone";

/**
 * Makes a member that serves: it offers its hardware, the models that it holds, and the stages that coordinators give
 * it. It can be started again after it was stopped.
 */
export function createPeer(options: PeerOptions): Peer {
  const { mesh, store, logger = silentLogger } = options;
  let models: HeldModel[] = [];
  let serving: Serving | undefined;
  let running: AsyncDisposableStack | undefined;
  /** Whether it stops, or has stopped: nobody is to load a stage here, though its card still tells of the machine. */
  let isLeaving = false;

  const announce = (): void => {
    if (serving === undefined) return;
    const { machine, speeds, host, links, leases, drain, reservations } = serving;
    const described = machine.describe();
    const hardware = { ...described, ...speeds.describe(described) };
    const fence = leases.describe();
    const now = {
      hardware,
      stages: host.describe(),
      links: links.describe(),
      draining: drain.isDraining || isLeaving,
      reserved: reservations.describe(),
      ...(fence !== undefined && { fence }),
    };
    // A card that is too large loses its least important part first: deployments matter more than models that could be served.
    const nameless = models.map(({ aliases: _aliases, ...model }) => model);
    for (const offered of [models, nameless, []]) {
      try {
        return mesh.updateCard({ ...now, models: offered });
      } catch (error) {
        if (offered.length === 0) throw error;
        const fields = { error, models: models.length };
        if (offered === models) logger.debug(fields, 'the aliases of the models of this peer do not fit on its card');
        else logger.warn(fields, 'the models of this peer do not fit on its card, and are not offered');
      }
    }
  };
  const onChange = isolated(announce, toLog(logger, 'stages and links'));
  const announceModels = async (): Promise<void> => {
    models = await store.list();
    announce();
  };
  const refresh = (): void => {
    announceModels().catch((error: unknown) => logger.warn({ error }, 'the model store can not be read'));
  };

  return {
    announceModels,
    async start({ signal } = {}) {
      if (running !== undefined) return;
      isLeaving = false;
      await using stack = new AsyncDisposableStack();
      const slow = setTimeout(() => logger.warn({}, slowDetection), slowDetectionMs);
      const hardware = await detectHardware(options.backend ?? 'auto', {
        gpuOptions: options.gpuOptions,
        runtimeDirectory: await findRuntime(options.directory),
        signal,
      }).finally(() => clearTimeout(slow));
      const { backend, fallback } = hardware;
      if (fallback !== undefined) {
        logger.warn({ reason: fallback, backend }, "this machine's GPU is not used as it could be");
      }
      const machine = new Machine(hardware, logger);
      stack.use(machine);
      const speeds = await MeasuredSpeeds.load(options.directory, logger);
      stack.defer(async () => await speeds.settled());
      const leaseFile = new LeaseFile(join(options.directory, fenceFileName), mesh.membership.mesh);
      const reservations = new Reservations(() => performance.now());
      const fence = new LeaseFence({
        onAccepted: (lease) => reservations.accept(lease),
        saved: await leaseFile.read(logger),
        save: async (lease) => await leaseFile.write(lease),
        told: () => mesh.cards.snapshot().filter(({ peer }) => peer !== mesh.peerId),
      });
      const drain = await PeerDrain.open({ mesh, fence, directory: options.directory, onChange });
      stack.use(drain);
      const host = new StageHost({
        mesh,
        fence,
        reservations,
        drain,
        store,
        logger,
        directory: join(options.directory, 'stages'),
        machine,
        speeds,
        threads: options.threads ?? hardware.cores,
        keepAwake: options.keepAwake ?? false,
        schedule: options.schedule ?? schedule,
        onChange,
      });
      host.start();
      stack.defer(async () => host.stop());
      stack.use(serveModels(mesh, store));
      const links = new LinkMeasurements({ mesh, logger, onChange });
      stack.use(links);
      const leases = new LeaseWatch({ mesh, fence, logger, onChange });
      stack.use(leases);
      serving = { machine, speeds, host, links, leases, drain, reservations };
      await announceModels();
      const look = async (): Promise<void> => {
        await machine.measureUnlessFresh();
        announce();
      };
      stack.use(mesh.answerFreshCards(look));
      links.start();
      machine.start();
      const timer = setInterval(refresh, refreshIntervalMs);
      stack.defer(() => clearInterval(timer));
      running = stack.move();
    },
    async stop() {
      const stopping = running;
      if (stopping === undefined) return;
      running = undefined;
      isLeaving = true;
      announce();
      // Before its stages end: who loads them anew elsewhere is to know that this is not the place.
      await mesh.sendCard().catch((error: unknown) => logger.debug({ error }, 'nobody hears that this peer stops'));
      await stopping.disposeAsync();
      announce();
    },
  };
}
