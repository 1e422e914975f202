import type { FrameStream, Remote } from '@skein/mesh';
import {
  asSkeinError,
  generationRequestSchema,
  memoryRoom,
  methods,
  parseHeader,
  prefixesAskSchema,
  readAlongRequestSchema,
  ringOpenSchema,
  SkeinError,
  stageOpeningSchema,
  takenBy,
  toWireError,
  type HeldStage,
  type StageEvent,
  type StageLoad,
  type StageReserve,
} from '@skein/protocol';

import { asSchemaError } from '../engine/json-schema/index.ts';
import { HostedStage, notServing, type HostedStageComponents } from './hosted-stage.ts';
import type { LeaseFence } from './lease-fence.ts';
import type { PeerDrain } from './peer-drain.ts';
import { reservationMs, type Reservations } from './reservations.ts';
import { SchemaGrammars } from './schema-grammars.ts';
import { tellPrefixes } from './tell-prefixes.ts';
import { StageTenure, type StageTenureComponents } from './stage-tenure.ts';

/** Most stages: more than any machine can serve, and few enough for a card to list all. */
const maxHeldStages = 32;

export type StageHostComponents = HostedStageComponents &
  StageTenureComponents & {
    readonly fence: LeaseFence;
    readonly reservations: Reservations;
    readonly drain: Pick<PeerDrain, 'assertTakesStages'>;
  };

/** The handlers of the methods through which coordinators, other stages and clients use the stages of this peer. */
export class StageHost {
  readonly #components: StageHostComponents;
  readonly #tenures = new Map<string, StageTenure>();
  readonly #grammars = new SchemaGrammars();
  readonly #running = new Set<Promise<void>>();
  readonly #served = new DisposableStack();
  readonly #stopping = new AbortController();

  constructor(components: StageHostComponents) {
    this.#components = components;
  }

  start(): void {
    const { mesh } = this.#components;
    this.#served.use(mesh.handle(methods.stage, async (stream, { peerId }) => this.#serveCoordinator(stream, peerId)));
    this.#served.use(mesh.handle(methods.ring, async (stream, { peerId }) => this.#joinRing(stream, peerId)));
    this.#served.use(mesh.handle(methods.prefixes, async (stream, remote) => this.#tellPrefixes(stream, remote)));
    this.#served.use(mesh.handle(methods.generate, async (stream, remote) => this.#generate(stream, remote)));
    this.#served.use(mesh.handle(methods.readAlong, async (stream, remote) => this.#readAlong(stream, remote)));
  }

  /** Ends every stage and waits until their processes are gone. */
  async stop(): Promise<void> {
    this.#served.dispose();
    this.#stopping.abort(new SkeinError('aborted', 'the peer is shutting down'));
    await Promise.allSettled(this.#running);
  }

  /** Describes the stages for the peer's card, all but the one named if any is. */
  describe({ except }: { readonly except?: string } = {}): HeldStage[] {
    return [...this.#tenures].filter(([key]) => key !== except).map(([, { stage }]) => stage.describe());
  }

  /** Serves a coordinator that loads a stage, or attaches to one that is held. */
  async #serveCoordinator(stream: FrameStream, coordinator: string): Promise<void> {
    const opening = parseHeader(stageOpeningSchema, (await this.#read(stream)).header);
    const { fence } = this.#components;
    await fence.admitFrom(coordinator, opening.lease);
    fence.assertObeyed(coordinator, opening.lease);
    if (opening.type === 'stage-reserve') return await this.#reserve(stream, opening);
    const holder = { stream, coordinator, lease: opening.lease };
    if (opening.type === 'stage-load') return await (await this.#begin(opening)).serve(holder);
    const tenure = this.#tenures.get(stageKey(opening));
    if (tenure === undefined) throw notHeld(opening);
    return await tenure.attach(holder);
  }

  /** Keeps memory for a stage that is to be loaded, until the stream ends or the reservation does. */
  async #reserve(stream: FrameStream, reserve: StageReserve): Promise<void> {
    const { machine, reservations, drain } = this.#components;
    drain.assertTakesStages();
    const room = memoryRoom(machine.describe(), this.describe().map(takenBy));
    reservations.reserve(reserve, room.bytes);
    try {
      await stream.write({ type: 'stage-reserved' } satisfies StageEvent);
      await stream.read({ timeoutMs: reservationMs });
    } finally {
      reservations.end(reserve);
    }
  }

  /** Begins the tenure of a stage. It runs on its own: its end is the end of the stage. */
  async #begin(load: StageLoad): Promise<StageTenure> {
    const key = stageKey(load);
    const former = this.#tenures.get(key);
    // Its coordinator has heard of the end, and loads it anew.
    if (former?.isEnding === true) {
      await former.over;
      this.#forget(key, former);
    }
    this.#components.drain.assertTakesStages();
    if (this.#tenures.size >= maxHeldStages) {
      throw new SkeinError('overloaded', `this machine holds ${maxHeldStages} stages already; take a deployment down`);
    }
    if (this.#tenures.has(key)) throw new SkeinError('protocol-violation', 'this stage is held already');
    const { reservations } = this.#components;
    const stage = new HostedStage(this.#components, load, {
      others: () => [
        ...this.describe({ except: key }).map(takenBy),
        { bytes: reservations.bytes, deviceBytes: undefined, isLoading: true },
      ],
      reservedBytes: reservations.end(load),
    });
    const tenure = new StageTenure(this.#components, { stage, stopping: this.#stopping.signal });
    this.#tenures.set(key, tenure);
    const running = tenure.run().finally(() => {
      this.#running.delete(running);
      this.#forget(key, tenure);
      this.#components.onChange();
      // Its memory is free again, that of GPUs as well.
      void this.#components.machine.measure().then(this.#components.onChange);
    });
    this.#running.add(running);
    return tenure;
  }

  #forget(key: string, tenure: StageTenure): void {
    if (this.#tenures.get(key) === tenure) this.#tenures.delete(key);
  }

  async #joinRing(stream: FrameStream, peerId: string): Promise<void> {
    const { deployment, stage: index } = parseHeader(ringOpenSchema, (await this.#read(stream)).header);
    const tenure = this.#tenures.get(stageKey({ deployment, stage: index }));
    if (tenure === undefined) throw notHeld({ deployment, stage: index });
    await tenure.stage.acceptPrevious(stream, peerId);
  }

  async #generate(stream: FrameStream, { peerId, signal }: Remote): Promise<void> {
    const { logger } = this.#components;
    const { header, payload } = await this.#read(stream);
    const { request, deployment, prompt, sampling, jsonSchema, ...settings } = parseHeader(
      generationRequestSchema,
      header,
    );
    const stage = this.#tenures.get(stageKey({ deployment, stage: 0 }))?.stage;
    if (stage === undefined) throw notServing(deployment);
    logger.debug({ request, deployment, from: peerId }, 'a generation begins');
    try {
      const followed = jsonSchema === undefined ? sampling : await this.#grammars.follow(sampling, jsonSchema);
      const generation = { ...settings, prompt: { type: prompt, bytes: payload }, sampling: followed };
      for await (const frames of stage.generate(generation, { signal })) await stream.writeFrames(frames, { signal });
    } catch (error) {
      const { code } = asSkeinError(error);
      logger.debug({ request, deployment, code }, 'a generation ended early');
      if (signal.aborted) return;
      const shown = jsonSchema === undefined ? error : asSchemaError(error);
      await stream.write({ type: 'generation-error', error: toWireError(shown) });
    }
  }

  async #readAlong(stream: FrameStream, { signal }: Remote): Promise<void> {
    const { header, payload } = await this.#read(stream);
    const { type: _, request, deployment, prompt, ...rest } = parseHeader(readAlongRequestSchema, header);
    const stage = this.#tenures.get(stageKey({ deployment, stage: 0 }))?.stage;
    if (stage === undefined) throw notServing(deployment);
    const reading = { ...rest, prompt: { type: prompt, bytes: payload } };
    try {
      for await (const frames of stage.readAlong(reading, { signal })) await stream.writeFrames(frames, { signal });
    } catch (error) {
      if (signal.aborted) return;
      this.#components.logger.debug(
        { request, deployment, code: asSkeinError(error).code },
        'a text is not read along',
      );
      await stream.write({ type: 'generation-error', error: toWireError(error) });
    }
  }

  /** Tells a router of the prefixes in a lead's cache. The first coordinator that asks gives the key for their digests. */
  async #tellPrefixes(stream: FrameStream, { peerId, signal }: Remote): Promise<void> {
    const { deployment, key } = parseHeader(prefixesAskSchema, (await this.#read(stream)).header);
    const stage = this.#tenures.get(stageKey({ deployment, stage: 0 }))?.stage;
    if (stage === undefined) throw notServing(deployment);
    const asker = this.#components.mesh.cards.snapshot().find(({ peer }) => peer === peerId);
    if (key !== undefined && asker?.roles.includes('coordinator') === true) stage.prefixes.takeKey(key);
    await tellPrefixes(stream, stage.prefixes, AbortSignal.any([signal, stage.ended, this.#stopping.signal]));
  }

  async #read(stream: FrameStream) {
    const frame = await stream.read();
    if (frame === undefined) throw new SkeinError('protocol-violation', 'the stream ended before its first message');
    return frame;
  }
}

function stageKey({ deployment, stage }: Pick<StageLoad, 'deployment' | 'stage'>): string {
  return `${deployment}/${stage}`;
}

function notHeld({ deployment, stage }: Pick<StageLoad, 'deployment' | 'stage'>): SkeinError {
  return new SkeinError('not-deployed', `stage ${stage + 1} of deployment ${deployment} is not held here`);
}
