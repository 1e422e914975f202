import { randomInt } from 'node:crypto';
import { availableParallelism } from 'node:os';

import type { FrameStream, Mesh, Schedule } from '@skein/mesh';
import {
  asSkeinError,
  expertLayersIn,
  invariant,
  layerCacheBytes,
  layerExpertBytes,
  layerStateBytes,
  machineName,
  memoryRoom,
  onAbort,
  SkeinError,
  swapTokens,
  type Block,
  type HeldStage,
  type Logger,
  type ModelManifest,
  type ReadAlongInput,
  type SpeedRatios,
  type StageConnect,
  type StageDrain,
  type StageEvent,
  type StageLoad,
  type TakenMemory,
  type StagePart,
} from '@skein/protocol';

import type { Generation } from '../engine/lead/lead.ts';
import type { LeadLoad } from '../engine/lead/load-meter.ts';
import { EngineProcess } from '../engine/process/engine-process.ts';
import { prefillRows } from '../engine/stage/measure-speed.ts';
import type { Machine } from '../hardware/machine.ts';
import { splitArchitecture } from '../stage-file/index.ts';
import { HeldPrefixes } from './held-prefixes.ts';
import type { MeasuredSpeeds } from './measured-speeds.ts';
import { openRing } from './ring-link.ts';
import { isOnPurpose, RingPipe } from './splice.ts';
import { assertStageRoom } from './stage-room.ts';
import { prepareStageFiles, type StageFiles, type StageFilesComponents } from './stage-files.ts';

export interface HostedStageComponents extends StageFilesComponents {
  readonly mesh: Mesh;
  readonly logger: Logger;
  readonly machine: Machine;
  readonly speeds: MeasuredSpeeds;
  readonly threads: number;
  /** Whether this machine stays awake while it holds a stage. */
  readonly keepAwake: boolean;
  /** Timers. */
  readonly schedule: Schedule;
  /** Called when the card's description of the stage has changed. */
  readonly onChange: () => void;
}

const loadHeartbeatMs = 5000;
/** Numbers among which that of a ring is chosen, so that it is no other's. */
const ringNumbers = 2 ** 40;

/** A stage's report that it is loaded. */
export type StageReady = Extract<StageEvent, { type: 'stage-ready' }>;

/** The memory of a machine, as far as one stage shares it. */
export interface StageMemory {
  /** Returns the memory that other stages hold, or that is reserved for them, at that moment. */
  readonly others: () => readonly TakenMemory[];
  /** Memory that was reserved for the stage itself; 0 where none was. */
  readonly reservedBytes: number;
}

/**
 * One stage on this peer, from the coordinator's request to hold it to its end. It ends when it is disposed of, when the
 * engine dies or when a neighbour on the ring is lost; in the last two cases `ended` carries the error. With `rejoinMs` it
 * outlives its neighbours by so much, and serves again when its coordinator has closed the ring anew.
 */
export class HostedStage implements AsyncDisposable {
  readonly load: StageLoad;
  /** The prefixes in its cache, where it is a lead. */
  readonly prefixes = new HeldPrefixes();
  readonly #components: HostedStageComponents;
  readonly #others: () => readonly TakenMemory[];
  readonly #reservedBytes: number;
  readonly #ended = new AbortController();
  readonly #tasks = new Set<Promise<void>>();
  readonly #listeners = new DisposableStack();
  /** Aborts when the stage lets go of its neighbours: each ring has its own. */
  #parted = new AbortController();
  #overdue: Disposable | undefined;
  #onParted: ((error: SkeinError) => void) | undefined;
  /** Peer id of the holder of the stage before. */
  #previous: string | undefined;
  #engine: EngineProcess | undefined;
  #ring: RingPipe | undefined;
  #files: StageFiles | undefined;
  /** Number of the ring, once it is closed. */
  #ringNumber: number | undefined;
  #hasPrevious = false;
  #hasNext = false;
  #isDraining = false;
  #isStandby: boolean;
  /** The correction that the coordinator's prediction contains. */
  #ratioBefore = 1;
  #running = 0;
  #ready: StageReady | undefined;

  constructor(components: HostedStageComponents, load: StageLoad, { others, reservedBytes }: StageMemory) {
    this.#components = components;
    this.load = load;
    this.#previous = load.previous;
    this.#isStandby = load.standby === true;
    this.#others = others;
    this.#reservedBytes = reservedBytes;
  }

  /** Fires, with a SkeinError as reason, when the stage can't serve any more. */
  get ended(): AbortSignal {
    return this.#ended.signal;
  }

  /**
   * Whether it takes generations: it is a loaded lead with both its neighbours connected, and not being drained. Links
   * between stages further on may open a moment later; until then steps wait in the pipe of the stage before.
   */
  get isServing(): boolean {
    return this.#isReadyLead && !this.#isDraining;
  }

  get #isReadyLead(): boolean {
    return this.load.stage === 0 && this.isEstablished;
  }

  /** Whether it is loaded, connected to its neighbours on the ring, and not over. */
  get isEstablished(): boolean {
    return this.#isConnected && !this.#ended.signal.aborted;
  }

  get isDraining(): boolean {
    return this.#isDraining;
  }

  /** Whether it was drained, and its last generation has ended. */
  get isDrained(): boolean {
    return this.#isDraining && this.#running === 0;
  }

  /** The report that it is loaded; undefined until then. */
  get ready(): StageReady | undefined {
    return this.#ready;
  }

  get #isConnected(): boolean {
    return this.#engine !== undefined && (this.load.stages === 1 || (this.#hasPrevious && this.#hasNext));
  }

  get #state(): HeldStage['state'] {
    if (!this.#isConnected) return 'loading';
    return this.#isDraining ? 'draining' : 'ready';
  }

  /** Describes the stage for the peer's card. */
  describe(): HeldStage {
    const { deployment, name, stage, stages, block, spec } = this.load;
    const { model, contextTokens, sequences } = spec;
    const { active = 0, queued = 0, ...told }: Partial<LeadLoad> = this.#engine?.load ?? {};
    const { predictedTokensPerSecond } = this.load;
    const expected =
      told.tokensPerSecond === undefined || predictedTokensPerSecond === undefined ? {} : { predictedTokensPerSecond };
    const work = stage === 0 && this.#engine !== undefined ? { ...told, ...expected } : {};
    const state = this.#state;
    const bytes = this.#heldBytes();
    const loaded = this.#engine === undefined ? {} : { speed: this.#engine.speed, placement: this.#engine.placement };
    return {
      deployment,
      model,
      name,
      stage,
      stages,
      block,
      state,
      bytes,
      contextTokens,
      sequences,
      active,
      queued,
      ...(stage === 0 && this.#ringNumber !== undefined && { ring: this.#ringNumber }),
      ...(stage === 0 && this.#isStandby && { standby: true }),
      ...work,
      ...loaded,
    };
  }

  /**
   * Brings the files here and loads the engine.
   *
   * @throws SkeinError the errors of {@link prepareStageFiles} and of the engine's start; `aborted`
   */
  async prepare(report: (event: StageEvent) => void, signal: AbortSignal): Promise<void> {
    const files = await prepareStageFiles(this.#components, this.load, {
      signal,
      onProgress: (phase, progress) => report({ type: 'stage-progress', phase, ...progress }),
    });
    this.#files = files;
    await this.#assertRoom();
    const loading: StageEvent = { type: 'stage-progress', phase: 'load', doneBytes: 0, totalBytes: files.fileBytes };
    report(loading);
    // llama.cpp says nothing while it reads a big file; the coordinator must not take that for a hung peer.
    const heartbeat = setInterval(() => report(loading), loadHeartbeatMs);
    const engine = await this.#startEngine(files, signal).finally(() => clearInterval(heartbeat));
    this.#engine = engine;
    const { machine, speeds } = this.#components;
    this.#ratioBefore = speeds.describe(machine.describe()).ratios?.[this.#kind] ?? 1;
    this.#ring = new RingPipe(engine.ring);
    this.#recordSpeed(engine, files.manifest);
    this.#listeners.use(onAbort(engine.lost, () => this.#end(asSkeinError(engine.lost.reason))));
    engine.onLoad(() => {
      this.#recordRatio(engine);
      this.#components.onChange();
    });
    this.#components.onChange();
    // The stage has taken memory of GPUs: the card is to say so before the next minute.
    void this.#components.machine.measure().then(this.#components.onChange);
    const { fetchedBytes, fileBytes } = files;
    const { placement, pid } = engine;
    const { deployment, stage } = this.load;
    this.#components.logger.info({ deployment, stage, pid, placement }, 'stage loaded');
    this.#ready = { type: 'stage-ready', backend: placement.backend, fetchedBytes, fileBytes, placement };
    report(this.#ready);
  }

  /** Opens the ring to the next stage. */
  async connect({ next }: StageConnect, signal: AbortSignal): Promise<void> {
    const ring = this.#requireRing();
    const { deployment, stage, stages } = this.load;
    const ringOpen = { deployment, stage: (stage + 1) % stages };
    const parted = this.#parted.signal;
    const stream = await openRing(this.#components.mesh, { peer: next, ringOpen }, AbortSignal.any([signal, parted]));
    this.#hasNext = true;
    this.#joined();
    const neighbour = this.#neighbour(1, next);
    const feeding = ring.send(stream.detach(), AbortSignal.any([this.#ended.signal, parted]));
    // When it returns the engine has closed its pipe: `lost` says why, which is what others are to hear.
    void this.#run(
      feeding.catch((error: unknown) =>
        this.#blame(neighbour, { parted, cause: error, isTakenDown: isOnPurpose(error) }),
      ),
    );
  }

  /**
   * Takes the ring stream from the stage before.
   *
   * @throws SkeinError `not-a-member` for another peer's stream, `protocol-violation` for a second one
   */
  async acceptPrevious(stream: FrameStream, peerId: string): Promise<void> {
    const ring = this.#requireRing();
    if (peerId !== this.#previous) {
      throw new SkeinError('not-a-member', 'this member does not hold the stage before in the pipeline');
    }
    if (this.#hasPrevious) throw new SkeinError('protocol-violation', 'the stage before is connected already');
    this.#hasPrevious = true;
    const parted = this.#parted.signal;
    const neighbour = this.#neighbour(-1, peerId);
    await stream.write({ type: 'ring-accepted' });
    this.#joined();
    const feeding = ring.feed(stream.detach(), AbortSignal.any([this.#ended.signal, parted]));
    await this.#run(
      feeding.then(
        () => this.#blame(neighbour, { parted, isTakenDown: true }),
        (error: unknown) => this.#blame(neighbour, { parted, cause: error }),
      ),
    );
  }

  /** Calls back with the reason when a neighbour was lost, and the stage waits for its ring to be closed anew. */
  onParted(callback: (error: SkeinError) => void): void {
    this.#onParted = callback;
  }

  /**
   * Lets go of both neighbours, since one of them was lost, and takes the ring stream from another peer from now on. Its
   * generations end. Returns false where its engine is gone, whose end is about to be told.
   *
   * @throws SkeinError `protocol-violation` for a stage that does not wait for its ring to be closed anew
   */
  part({ previous }: Pick<StagePart, 'previous'>): boolean {
    if (this.#isEngineGone) return false;
    if (!this.#outlivesNeighbours) {
      throw new SkeinError('protocol-violation', 'this stage does not outlive its neighbours');
    }
    this.#letGo(new SkeinError('stage-lost', 'another stage of the pipeline was lost'));
    this.#previous = previous;
    return true;
  }

  /**
   * Refuses further generations, and reports how many of the present ones still run: now and after each end.
   * Generations that the engine has ended do not count, even if their readers have not taken all text: that outlives
   * the stage.
   *
   * @param options.handOver whether to end the generations that other leads can continue. Default false
   * @param options.withinMs time that those get to leave, where their readers understand that. Default 0
   * @throws SkeinError `protocol-violation` unless it is a lead that serves
   */
  drain(onRunning: (running: number) => void, { handOver = false, withinMs = 0 }: Omit<StageDrain, 'type'> = {}): void {
    if (!this.#isReadyLead) throw new SkeinError('protocol-violation', 'only a lead that serves can be drained');
    const engine = this.#requireEngine();
    const isFirst = !this.#isDraining;
    this.#isDraining = true;
    engine.endReads(notServing(this.load.deployment));
    if (handOver && withinMs > 0) {
      engine.leave(withinMs, handedOver());
      this.#listeners.use(this.#components.schedule(withinMs, () => engine.handOver(handedOver())));
    } else if (handOver) engine.handOver(handedOver());
    if (!isFirst) return;
    this.#components.onChange();
    engine.onRunning((running) => {
      this.#running = running;
      onRunning(running);
    });
  }

  /** Takes requests like any other replica from now on, also where it was loaded as a standby. */
  serve(): void {
    this.#isStandby = false;
    this.#components.onChange();
  }

  /**
   * Generates: yields whole frames of the `generate` stream.
   *
   * @throws SkeinError `not-deployed` when it takes no generations; otherwise as the engine does
   */
  generate(generation: Generation, options: { signal: AbortSignal }): AsyncIterable<Uint8Array> {
    if (!this.isServing) throw notServing(this.load.deployment);
    return this.#requireEngine().generate(generation, options);
  }

  /**
   * Reads along: yields whole frames of the `read-along` stream.
   *
   * @throws SkeinError as {@link generate} does
   */
  readAlong(reading: ReadAlongInput, options: { signal: AbortSignal }): AsyncIterable<Uint8Array> {
    if (!this.isServing) throw notServing(this.load.deployment);
    return this.#requireEngine().readAlong(reading, options);
  }

  /**
   * Ends the stage, on purpose: answers that other leads can continue are handed over, also where its lead is another
   * machine, which is told by the end of the ring.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#overdue?.[Symbol.dispose]();
    this.#end(new SkeinError('stage-lost', 'the deployment was ended', { details: { onPurpose: true } }));
    this.#listeners.dispose();
    await this.#engine?.stop();
    await Promise.allSettled(this.#tasks);
  }

  async #startEngine(files: StageFiles, signal: AbortSignal): Promise<EngineProcess> {
    const { load } = this;
    const { shape } = files.manifest;
    const architecture = splitArchitecture(shape.architecture);
    const isWhole = load.stages === 1;
    const layers = load.block.to - load.block.from;
    const { backend, libraries, gpuOptions } = this.#components.machine.detected;
    return EngineProcess.start({
      logger: this.#components.logger,
      runtimeDirectory: libraries.runtimeDirectory,
      prefixes: this.prefixes,
      signal,
      load: {
        libraryDirectory: libraries.directory,
        ...(libraries.fallbackDirectory !== undefined && { fallbackDirectory: libraries.fallbackDirectory }),
        file: files.file,
        ...(files.frontFile === undefined ? {} : { frontFile: files.frontFile }),
        stage: load.stage,
        stages: load.stages,
        layers,
        cacheBytes: sumOf(layerCacheBytes(shape, load.spec), load.block),
        hiddenTensor: isWhole
          ? ''
          : invariant(architecture, 'a model that is split has a known architecture').hiddenTensor,
        ...(architecture?.inputTensor === undefined ? {} : { inputTensor: architecture.inputTensor }),
        hiddenSize: shape.hiddenSize,
        spec: load.spec,
        cpuExpertLayers: expertLayersIn(load.block, load.spec),
        swapTokens: swapTokens(shape, load.spec),
        threads: Math.min(load.spec.threads ?? this.#components.threads, availableParallelism()),
        ...(this.#components.keepAwake && { keepAwake: true }),
        ...(backend !== 'cpu' && { gpu: { backend, options: gpuOptions } }),
      },
    });
  }

  get #kind(): keyof SpeedRatios {
    return this.load.stages === 1 ? 'whole' : 'split';
  }

  /** Keeps what the lead has measured of the whole replica beside what was predicted. */
  #recordRatio({ load: { tokensPerSecond } }: EngineProcess): void {
    const { predictedTokensPerSecond } = this.load;
    if (tokensPerSecond === undefined || predictedTokensPerSecond === undefined) return;
    const { machine, speeds } = this.#components;
    const ratio = (this.#ratioBefore * tokensPerSecond) / predictedTokensPerSecond;
    speeds.recordRatio(this.#kind, ratio, machine.describe());
  }

  /** Keeps the speed of the loaded stage. One with threads of its own tells nothing about the next one. */
  #recordSpeed({ speed, placement, pipeMs }: EngineProcess, manifest: ModelManifest): void {
    const { block, spec } = this.load;
    if (spec.threads !== undefined && spec.threads < this.#components.threads) return;
    const { machine, speeds } = this.#components;
    const rows = Math.min(prefillRows, spec.contextTokens);
    const stage = { manifest, block, speed, placement, prefillRows: rows, pipeMs };
    speeds.record(stage, machine.describe());
  }

  /**
   * Checks that there is room beside the machine's other stages, by its memory as it is now. The planner has done so, but
   * its numbers are older, and not every stage was planned by an honest coordinator.
   */
  async #assertRoom(): Promise<void> {
    const needs = { bytes: this.#heldBytes(), expertBytes: this.#askedExpertBytes() };
    const hardware = await this.#components.machine.measure();
    assertStageRoom(memoryRoom(hardware, this.#others()), needs);
  }

  /** Returns the bytes of experts that were asked to lie in main memory; 0 until the manifest is known. */
  #askedExpertBytes(): number {
    if (this.#files === undefined) return 0;
    const { block, spec } = this.load;
    const to = block.from + (expertLayersIn(block, spec) ?? 0);
    return sumOf(layerExpertBytes(this.#files.manifest), { from: block.from, to });
  }

  /** Returns the bytes of weights, KV cache and swap space; those that were reserved until the size of the files is known. */
  #heldBytes(): number {
    if (this.#files === undefined) return this.#reservedBytes;
    const { block, spec } = this.load;
    const { manifest, fileBytes } = this.#files;
    return fileBytes + sumOf(layerStateBytes(manifest.shape, spec), block);
  }

  #requireEngine(): EngineProcess {
    if (this.#engine !== undefined && !this.#ended.signal.aborted) return this.#engine;
    throw new SkeinError('not-deployed', 'this stage is not loaded');
  }

  #requireRing(): RingPipe {
    this.#requireEngine();
    return invariant(this.#ring, 'a loaded stage has a ring');
  }

  /** Runs one side of the ring until it is over, and keeps it for disposal to wait for. */
  async #run(side: Promise<void>): Promise<void> {
    this.#tasks.add(side);
    await side;
  }

  /** Describes a neighbour on the ring. Call it while the neighbour's card is here: that of a lost machine is gone. */
  #neighbour(distance: 1 | -1, peerId: string): Neighbour {
    const { stage, stages } = this.load;
    const name = machineName(this.#components.mesh.cards.snapshot(), peerId);
    return { stage: (stage + distance + stages) % stages, stages, name };
  }

  /**
   * Lets go of the ring because a neighbour is gone, or ends where the stage does not outlive that; does nothing when that
   * happened because our own engine is gone, whose end says more, or because the stage has let go of that ring.
   */
  #blame(neighbour: Neighbour, { parted, ...loss }: Loss & { readonly parted: AbortSignal }): void {
    if (this.#isEngineGone || parted.aborted) return;
    const error = lost(neighbour, loss);
    if (!this.#outlivesNeighbours) return this.#end(error);
    this.#letGo(error);
    this.#onParted?.(error);
  }

  /** Whether it stays, with its engine, when a neighbour is lost. */
  get #outlivesNeighbours(): boolean {
    const { rejoinMs = 0, stages } = this.load;
    return rejoinMs > 0 && stages > 1 && !this.#isDraining && !this.#ended.signal.aborted;
  }

  /** Lets go of both neighbours, and waits for new ones. */
  #letGo(error: SkeinError): void {
    const { stage, rejoinMs = 0 } = this.load;
    this.#parted.abort(error);
    this.#parted = new AbortController();
    this.#hasPrevious = false;
    this.#hasNext = false;
    this.#ringNumber = undefined;
    if (stage === 0) {
      if (isOnPurpose(error)) this.#engine?.handOver(handedOver());
      this.#engine?.resetRing(error);
      this.prefixes.clear();
    }
    this.#overdue ??= this.#components.schedule(rejoinMs, () => this.#end(error));
    this.#components.onChange();
  }

  /** Notes that a neighbour is there. */
  #joined(): void {
    if (this.#isConnected) {
      this.#ringNumber = randomInt(ringNumbers);
      this.#overdue?.[Symbol.dispose]();
      this.#overdue = undefined;
    }
    this.#components.onChange();
  }

  /** Whether the engine's process has closed its pipes, and is about to report its end. */
  get #isEngineGone(): boolean {
    const ring = this.#engine?.ring;
    return ring?.destroyed === true || ring?.readableEnded === true;
  }

  #end(error: SkeinError): void {
    if (this.#ended.signal.aborted) return;
    // The end of an engine that is gone already says more, and ends its generations, too.
    if (!this.#isEngineGone) {
      if (isOnPurpose(error)) this.#engine?.handOver(handedOver());
      this.#engine?.failGenerations(error);
    }
    this.#ended.abort(error);
    void this.#engine?.stop();
  }
}

/** Adds up what the layers of a block take. */
function sumOf(layers: readonly number[], { from, to }: Block): number {
  return layers.slice(from, to).reduce((sum, bytes) => sum + bytes, 0);
}

interface Neighbour {
  /** Number of the stage, from 0. */
  readonly stage: number;
  readonly stages: number;
  /** Name of its machine. */
  readonly name: string;
}

/** The end of a neighbour. */
interface Loss {
  readonly cause?: unknown;
  /** Whether somebody took it down in order. Default: it was lost. */
  readonly isTakenDown?: boolean;
}

function lost({ stage, stages, name }: Neighbour, { cause, isTakenDown = false }: Loss): SkeinError {
  return new SkeinError(
    'stage-lost',
    `stage ${stage + 1} of ${stages}, on ${name}, was ${isTakenDown ? 'taken down' : 'lost'} while it answered; whoever asks again has the model deployed anew`,
    { cause, details: { stage, ...(isTakenDown && { onPurpose: true }) } },
  );
}

function handedOver(): SkeinError {
  return new SkeinError('handed-over', 'the deployment was taken down or moved while it answered');
}

/** Makes the error `not-deployed` for a deployment that is not served here. */
export function notServing(deployment: string): SkeinError {
  return new SkeinError(
    'not-deployed',
    `deployment ${deployment} is not served here; ask for the model again to have it deployed`,
  );
}
