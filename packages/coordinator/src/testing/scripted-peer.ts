import { createMesh, type Authority, type FrameStream, type Mesh } from '@skein/mesh';
import {
  drainRequestSchema,
  encodeValue,
  manifestRequestSchema,
  methods,
  parseHeader,
  stageCommandSchema,
  SkeinError,
  stageOpeningSchema,
  type GenerationEvent,
  type ModelManifest,
  type StageEvent,
  type StageLoad,
} from '@skein/protocol';

import { cardOf, heldStageOf, sha256 } from './fixtures.ts';

/** A scripted peer's answer to the load of a stage: `ready` at once, `hang` for ever, or failure with a message. */
export type LoadScript = 'ready' | 'hang' | { readonly fails: string };

export interface ScriptedPeerOptions {
  /** Authority of the mesh that it belongs to. */
  readonly authority: Authority;
  readonly knows: readonly Mesh[];
  readonly holds?: readonly ModelManifest[];
  readonly freeBytes?: number;
}

/** A member over a real connection that answers the stage protocol from a script instead of an engine. */
export class ScriptedPeer {
  readonly mesh: Mesh;
  /** All loads asked of it so far. */
  readonly loads: StageLoad[] = [];
  /** Peers that its stages were told to connect to. */
  readonly nexts: string[] = [];
  /** Number of leads that it was told to hand the answers over of. */
  handedOver = 0;
  /** Deployments of which it was told that they are standbys no more. */
  readonly toServe: string[] = [];
  /** Streams of coordinators that hold a stage of it now. */
  readonly held = new Set<FrameStream>();
  /** Stages that it keeps although their stream has ended, by deployment and number. */
  readonly kept = new Map<string, StageLoad>();
  /** Called when it comes to keep a stage, and when it has released one. */
  onKept: () => void = () => undefined;
  /** Script for loads to come. */
  script: LoadScript = 'ready';
  /** Answer to a request for a manifest, whichever model it is of. Default: the one asked for, of those that it holds. */
  manifestBytes: Uint8Array | undefined;

  /**
   * Answer to a generation: `Hello` and the end, `Hello` and the end once it is released, nothing after it has begun,
   * or the loss of its stages, once.
   */
  generation: 'ends' | 'hang' | 'begins' | 'loses-stage' = 'ends';
  /** Requests it is answering now. */
  readonly generating = new Set<FrameStream>();
  readonly #released = Promise.withResolvers<void>();
  /** Reports to the coordinator that drains how many answers run. */
  #tellRunning: (() => Promise<void>) | undefined;

  private constructor(mesh: Mesh) {
    this.mesh = mesh;
  }

  static async join({ authority, knows, holds = [], freeBytes }: ScriptedPeerOptions): Promise<ScriptedPeer> {
    const mesh = await createMesh({
      ...(await authority.enroll(['peer'])),
      roles: ['peer'],
      mdns: false,
      peers: knows.flatMap((member) => member.addresses()),
    });
    const peer = new ScriptedPeer(mesh);
    mesh.handle(methods.manifest, async (stream) => {
      const { model } = parseHeader(manifestRequestSchema, (await stream.read())?.header);
      const held = holds.find((one) => one.model === model);
      await stream.write({ type: 'manifest' }, peer.manifestBytes ?? (held && encodeValue(held)));
    });
    mesh.handle(methods.stage, async (stream) => await peer.#serveStage(stream));
    mesh.handle(methods.generate, async (stream) => await peer.#serveGeneration(stream));
    const { hardware, models } = cardOf({
      peer: mesh.peerId,
      holds,
      ...(freeBytes === undefined ? {} : { freeBytes }),
    });
    mesh.updateCard({ models, ...(hardware === undefined ? {} : { hardware }) });
    await mesh.start();
    return peer;
  }

  /** Shows on its card a ready stage 0 of each deployment, of a model of one stage. */
  showStages(...deployments: readonly string[]): void {
    const [held] = this.mesh.cards.snapshot()[0]?.models ?? [];
    if (held === undefined) throw new Error('this peer holds no model');
    const { model, name } = held;
    const stages = deployments.map((deployment) => ({ ...heldStageOf(deployment), model, name }));
    this.mesh.updateCard({ stages });
  }

  /** Is drained by coordinators that say so, from now on. */
  obeyDrains(): void {
    this.mesh.answerFreshCards(async () => undefined);
    this.mesh.handle(methods.drain, async (stream) => {
      const { draining } = parseHeader(drainRequestSchema, (await stream.read())?.header);
      this.mesh.updateCard({ draining });
      await stream.write({ type: 'drain-answer', draining });
    });
  }

  /** Shows on its card, as ready, the stages that it holds or keeps. */
  showHeld(): void {
    const stages = [...this.kept.values()].map(({ deployment, stage, stages: count, block, spec, name, standby }) => ({
      ...heldStageOf(deployment),
      ...(standby === true && { standby }),
      stage,
      stages: count,
      block,
      name,
      model: spec.model,
      contextTokens: spec.contextTokens,
    }));
    this.mesh.updateCard({ stages });
  }

  /** Loses its coordinators, and keeps its stages. */
  cutLinks(): void {
    for (const stream of this.held) stream.abort();
  }

  /** Ends the answers that hang. */
  release(): void {
    this.#released.resolve();
  }

  async #serveStage(stream: FrameStream): Promise<void> {
    const opening = parseHeader(stageOpeningSchema, (await stream.read())?.header);
    if (opening.type === 'stage-reserve') {
      await stream.write({ type: 'stage-reserved' } satisfies StageEvent);
      return void (await stream.read());
    }
    const { deployment, stage } = opening;
    const key = `${deployment}/${stage}`;
    const load = opening.type === 'stage-load' ? opening : this.kept.get(key);
    if (load === undefined) throw new SkeinError('not-deployed', 'this stage is not held here');
    if (opening.type === 'stage-load') this.loads.push(load);
    this.held.add(stream);
    const send = async (event: StageEvent) => await stream.write(event);
    try {
      await send({ type: 'stage-progress', phase: 'fetch', doneBytes: 1, totalBytes: 2 });
      if (typeof this.script === 'object') {
        return await send({ type: 'stage-failed', error: { code: 'engine-failed', message: this.script.fails } });
      }
      if (this.script === 'ready') {
        const { from, to } = load.block;
        const placement = { backend: 'cpu', devices: [], cpuLayers: to - from, fallbacks: [] };
        await send({ type: 'stage-ready', backend: 'cpu', fetchedBytes: 10, fileBytes: 20, placement });
        this.kept.set(key, load);
        this.onKept();
        if (opening.type === 'stage-attach' && load.stages > 1) await send({ type: 'stage-connected' });
      }
      for await (const { header } of stream) {
        const command = parseHeader(stageCommandSchema, header);
        if (command.type === 'stage-drain') {
          if (command.handOver === true) this.handedOver += 1;
          this.#tellRunning = async () => await send({ type: 'stage-draining', running: this.generating.size });
          await this.#tellRunning();
        } else if (command.type === 'stage-part') {
          await send({ type: 'stage-parted' });
        } else if (command.type === 'stage-serve') {
          this.toServe.push(deployment);
          this.kept.set(key, { ...load, standby: false });
          this.onKept();
        } else if (command.type === 'stage-unload') {
          this.kept.delete(key);
          this.onKept();
          return;
        } else {
          this.nexts.push(command.next);
          await send({ type: 'stage-connected' });
        }
      }
    } finally {
      this.held.delete(stream);
    }
  }

  async #serveGeneration(stream: FrameStream): Promise<void> {
    await stream.read();
    this.generating.add(stream);
    const send = async (event: GenerationEvent) => await stream.write(event);
    try {
      await send({ type: 'generation-begin', promptTokens: 3, promptHash: 'a'.repeat(64), maxTokens: 8 });
      if (this.generation === 'begins') return void (await stream.read());
      if (this.generation === 'loses-stage') {
        this.generation = 'ends';
        await send({ type: 'generation-error', error: { code: 'stage-lost', message: 'the engine is gone' } });
        for (const stage of this.held) stage.abort();
        return;
      }
      await send({ type: 'text-delta', text: 'Hello', tokens: [1] });
      if (this.generation === 'hang') await Promise.race([this.#released.promise, stream.closed]);
      await send({
        type: 'generation-end',
        finishReason: 'stop',
        usage: { promptTokens: 3, completionTokens: 1 },
        timings: { firstTokenMs: 1, decodeMs: 0 },
      });
    } finally {
      this.generating.delete(stream);
      await this.#tellRunning?.();
    }
  }
}

/** Returns the digest under which a manifest is announced. */
export function manifestDigest(manifest: ModelManifest): string {
  return sha256(encodeValue(manifest));
}
