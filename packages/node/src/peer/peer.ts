import { join } from 'node:path';

import type { Mesh } from '@skein/mesh';
import { silentLogger, type HeldModel, type Logger } from '@skein/protocol';

import { libraryDirectory, type Backend } from '../hardware/backend.ts';
import { describeHardware, detectHardware, type DetectedHardware } from '../hardware/detect.ts';
import { serveModels, type ModelStore } from '../store/index.ts';
import { StageHost } from './stage-host.ts';

export interface PeerOptions {
  readonly mesh: Mesh;
  readonly store: ModelStore;
  /** Where cut stage files lie: `<directory>/stages`. */
  readonly directory: string;
  /** Default: none. */
  readonly logger?: Logger;
  /** Default: what node-llama-cpp's detection chooses. */
  readonly backend?: Backend | 'auto';
  /** Engine threads of a stage. Default: the machine's physical cores. */
  readonly threads?: number | undefined;
}

export interface Peer {
  /** Looks at the hardware, then serves. Throws `engine-incompatible` for a backend that does not work here. */
  start(): Promise<void>;
  /** Ends every stage and its process. */
  stop(): Promise<void>;
  /** Tells the mesh what the store holds now. Call it after a pull. */
  announceModels(): Promise<void>;
}

/** How often the card's free memory is looked at again. */
const hardwareIntervalMs = 5000;

/** A member that serves: it offers its hardware, the models that it holds, and the stages that coordinators give it. */
export function createPeer(options: PeerOptions): Peer {
  const { mesh, store, logger = silentLogger } = options;
  let models: HeldModel[] = [];
  let detected: DetectedHardware | undefined;
  let host: StageHost | undefined;
  let timer: NodeJS.Timeout | undefined;

  const announce = (): void => {
    if (detected === undefined) return;
    mesh.updateCard({ hardware: describeHardware(detected), models, stages: host?.describe() ?? [] });
  };
  const announceModels = async (): Promise<void> => {
    models = await store.list();
    announce();
  };

  return {
    announceModels,
    async start() {
      if (host !== undefined) return;
      detected = await detectHardware(options.backend ?? 'auto');
      host = new StageHost({
        mesh,
        store,
        logger,
        directory: join(options.directory, 'stages'),
        open: (peer, method, openOptions) => mesh.open(peer, method, openOptions),
        libraryDirectory: await libraryDirectory(detected.backend),
        backend: detected.backend,
        threads: options.threads ?? detected.cores,
        onChange: announce,
      });
      host.start();
      serveModels(mesh, store);
      await announceModels();
      timer = setInterval(
        () => void announceModels().catch((error: unknown) => logger.warn({ error }, 'model store can not be read')),
        hardwareIntervalMs,
      );
    },
    async stop() {
      clearInterval(timer);
      await host?.stop();
      host = undefined;
      announce();
    },
  };
}
