import { join } from 'node:path';

import { readFileIfAny, replaceSecretFile, setAside } from '@skein/mesh';
import {
  checkJson,
  maxMeasuredSpeeds,
  measuredSpeedSchema,
  ratioBounds,
  speedRatiosSchema,
  tokenWeights,
  type Block,
  type Hardware,
  type Logger,
  type MeasuredSpeed,
  type ModelManifest,
  type SpeedRatios,
  type StagePlacement,
  type StageSpeed,
} from '@skein/protocol';
import { z } from 'zod';

const fileName = 'speeds.json';
const maxFileBytes = 64 * 1024;
/** Most devices of which speeds are kept: GPUs are plugged in and out, and backends are chosen by hand. */
const maxDevices = 8;
/** Ratio of the sizes of two layers up to which one measurement stands for both. */
const alike = 1.1;
/**
 * Share of a speed by which a measurement has to differ to change it. No two measurements agree, and with speeds that
 * followed each of them models would be cut, and their layers fetched, another way at every deployment.
 */
const noise = 0.2;

const fileSchema = z.object({
  devices: z
    .array(
      z.object({
        device: z.string().max(4096),
        speeds: z.array(measuredSpeedSchema).max(maxMeasuredSpeeds),
        ratios: speedRatiosSchema.optional(),
      }),
    )
    .max(maxDevices),
});
type DeviceSpeeds = z.infer<typeof fileSchema>['devices'][number];

/** A stage that was loaded and measured. */
export interface MeasuredStage {
  readonly manifest: ModelManifest;
  readonly block: Block;
  readonly speed: StageSpeed;
  readonly placement: StagePlacement;
  /** Rows of the micro-batch that its prefill was measured with. */
  readonly prefillRows: number;
  /** Time of a small frame between the peer and the engine, in milliseconds. Undefined where it was not measured. */
  readonly pipeMs: number | undefined;
}

/**
 * The speed of a machine's processor and GPUs, measured with each stage that it loads and kept in its data directory
 * (`speeds.json`): plans are made with it before the next model is loaded.
 */
export class MeasuredSpeeds {
  readonly #path: string;
  readonly #logger: Logger;
  #devices: readonly DeviceSpeeds[];
  #isDamaged: boolean;
  #writing: Promise<void> = Promise.resolve();

  private constructor(path: string, logger: Logger, stored: { devices: readonly DeviceSpeeds[]; isDamaged: boolean }) {
    this.#path = path;
    this.#logger = logger;
    this.#devices = stored.devices;
    this.#isDamaged = stored.isDamaged;
  }

  /** Reads the file. One that is missing, damaged or can't be read has no speeds: they are measured anew. */
  static async load(directory: string, logger: Logger): Promise<MeasuredSpeeds> {
    const path = join(directory, fileName);
    try {
      const stored = await readFileIfAny(path, { maxBytes: maxFileBytes });
      if (stored === undefined) return new MeasuredSpeeds(path, logger, { devices: [], isDamaged: false });
      const checked = checkJson(fileSchema, stored);
      if (checked.ok) return new MeasuredSpeeds(path, logger, { ...checked.data, isDamaged: false });
      logger.warn({ path, problem: checked.problem }, 'the measured speeds are damaged, and are measured anew');
    } catch (error) {
      logger.warn({ path, error }, 'the measured speeds can not be read, and are measured anew');
    }
    return new MeasuredSpeeds(path, logger, { devices: [], isDamaged: true });
  }

  /** Describes the speeds of the devices that the machine has now for its card, the newest first. */
  describe(hardware: Hardware): Pick<Hardware, 'speeds' | 'ratios'> {
    const used = deviceOf(hardware, hardware.backend);
    const devices = [deviceOf(hardware, 'cpu'), used];
    const speeds = this.#devices
      .filter(({ device }) => devices.includes(device))
      .flatMap((one) => one.speeds)
      .slice(0, maxMeasuredSpeeds);
    const ratios = this.#devices.find(({ device }) => device === used)?.ratios;
    return { ...(speeds.length > 0 && { speeds }), ...(ratios !== undefined && { ratios }) };
  }

  /** Keeps the ratio of the measured speed of a replica that this machine leads to what is predicted without it. */
  recordRatio(kind: keyof SpeedRatios, ratio: number, hardware: Hardware): void {
    const device = deviceOf(hardware, hardware.backend);
    const known = this.#devices.find((one) => one.device === device);
    // A hundredth more or less is no news, and not worth a write.
    const bounded = Math.round(100 * Math.min(ratioBounds.most, Math.max(ratioBounds.least, ratio))) / 100;
    if (known?.ratios?.[kind] === bounded) return;
    this.#keep({ device, speeds: known?.speeds ?? [], ratios: { ...known?.ratios, [kind]: bounded } });
  }

  /**
   * Adds the speed of a stage. One that lies partly on GPUs and partly in main memory tells of neither, and is left out.
   * Of two measurements with alike layers the better counts: a machine that is busy with something else measures less.
   * So that a machine that has become slower is found out, a lesser one moves the speed half of the way. One that is
   * nearly the same changes nothing, so that plans stay the same.
   */
  record(stage: MeasuredStage, hardware: Hardware): void {
    const measured = speedOf(stage);
    if (measured === undefined) return;
    const device = deviceOf(hardware, measured.backend);
    const { speeds: known = [], ...kept } = this.#devices.find((one) => one.device === device) ?? {};
    const before = known.find((one) => isAlike(one, measured));
    const speeds = [
      before === undefined ? measured : merged(before, measured),
      ...known.filter((one) => one !== before),
    ].slice(0, maxMeasuredSpeeds);
    this.#keep({ ...kept, device, speeds });
  }

  #keep(newest: DeviceSpeeds): void {
    const others = this.#devices.filter(({ device }) => device !== newest.device);
    this.#devices = [newest, ...others].slice(0, maxDevices);
    this.#writing = this.#writing
      .then(async () => await this.#write())
      .catch((error: unknown) => {
        this.#logger.warn({ path: this.#path, error }, 'the measured speeds can not be kept');
      });
  }

  /** Resolves when all that was recorded is on the disk, or could not be written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  async #write(): Promise<void> {
    if (this.#isDamaged) await setAside(this.#path);
    this.#isDamaged = false;
    await replaceSecretFile(this.#path, Buffer.from(JSON.stringify({ devices: this.#devices })));
  }
}

/** Returns the speed of a measured stage; undefined where it can't be told apart by device. */
function speedOf({ manifest, block, speed, placement, prefillRows, pipeMs }: MeasuredStage): MeasuredSpeed | undefined {
  const { devices, cpuLayers, expertLayers = 0 } = placement;
  const isMixed = devices.length > 0 && (cpuLayers > 0 || expertLayers > 0);
  const { decodeMsPerLayer, prefillMsPerTokenPerLayer } = speed;
  if (isMixed || decodeMsPerLayer <= 0 || prefillMsPerTokenPerLayer <= 0) return undefined;
  const weights = tokenWeights(manifest);
  const layers = weights.layers.slice(block.from, block.to);
  const hasHead = block.to === weights.layers.length && speed.headMs > 0 && weights.output.count > 0;
  const mean = (amountOf: (layer: (typeof layers)[number]) => number) =>
    layers.reduce((sum, layer) => sum + amountOf(layer), 0) / layers.length;
  const [layerBytes, layerWeights] = [mean(({ bytes }) => bytes), mean(({ count }) => count)];
  if (layerBytes <= 0 || layerWeights <= 0) return undefined;
  return {
    backend: devices.length === 0 ? 'cpu' : placement.backend,
    layerBytes,
    layerWeights,
    decodeBytesPerSecond: (layerBytes / decodeMsPerLayer) * 1000,
    prefillFlops: ((2 * layerWeights) / prefillMsPerTokenPerLayer) * 1000,
    prefillRows,
    ...(hasHead && { head: { ms: speed.headMs, weights: weights.output.count } }),
    ...(pipeMs !== undefined && { pipeMs }),
  };
}

function isAlike(one: MeasuredSpeed, other: MeasuredSpeed): boolean {
  const isNear = (first: number, second: number) => Math.max(first, second) <= alike * Math.min(first, second);
  return (
    one.backend === other.backend &&
    isNear(one.layerBytes, other.layerBytes) &&
    isNear(one.layerWeights, other.layerWeights)
  );
}

function merged(before: MeasuredSpeed, now: MeasuredSpeed): MeasuredSpeed {
  const better = (earlier: number, later: number) =>
    Math.abs(later - earlier) <= noise * earlier ? earlier : Math.max(later, (earlier + later) / 2);
  const shorter = (earlier: number, later: number) => 1 / better(1 / earlier, 1 / later);
  const head =
    before.head === undefined || now.head === undefined || before.head.weights !== now.head.weights
      ? (now.head ?? before.head)
      : { ...now.head, ms: shorter(before.head.ms, now.head.ms) };
  const pipeMs =
    before.pipeMs === undefined || now.pipeMs === undefined
      ? (now.pipeMs ?? before.pipeMs)
      : shorter(before.pipeMs, now.pipeMs);
  return {
    ...now,
    ...(head !== undefined && { head }),
    ...(pipeMs !== undefined && { pipeMs }),
    decodeBytesPerSecond: better(before.decodeBytesPerSecond, now.decodeBytesPerSecond),
    prefillFlops: better(before.prefillFlops, now.prefillFlops),
  };
}

/** Names the device that a backend computes on, with all that makes it faster or slower. */
function deviceOf({ cpu, cores, gpus }: Hardware, backend: string): string {
  return backend === 'cpu' ? `cpu: ${cpu}, ${cores}` : [backend, ...gpus.map(({ name }) => name)].join(': ');
}
