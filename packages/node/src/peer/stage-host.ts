import { untilAborted, type FrameStream, type Remote } from '@skein/mesh';
import {
  asSkeinError,
  generationRequestSchema,
  methods,
  parseHeader,
  ringOpenSchema,
  SkeinError,
  stageCommandSchema,
  stageLoadSchema,
  toWireError,
  type HeldStage,
  type StageCommand,
  type StageConnect,
  type StageEvent,
  type StageLoad,
} from '@skein/protocol';

import { asSchemaError } from '../engine/json-schema/index.ts';
import { HostedStage, notServing, type HostedStageComponents } from './hosted-stage.ts';
import { SchemaGrammars } from './schema-grammars.ts';
import { throttledProgress } from './throttled-progress.ts';

/** Most stages: more than any machine can serve, and few enough for a card to list all. */
const maxHeldStages = 32;

/** The handlers of the methods through which coordinators, other stages and clients use the stages of this peer. */
export class StageHost {
  readonly #components: HostedStageComponents;
  readonly #stages = new Map<string, HostedStage>();
  readonly #grammars = new SchemaGrammars();
  readonly #running = new Set<Promise<void>>();
  readonly #served = new DisposableStack();
  readonly #stopping = new AbortController();

  constructor(components: HostedStageComponents) {
    this.#components = components;
  }

  start(): void {
    const { mesh } = this.#components;
    const holdStage = async (stream: FrameStream, { peerId }: Remote): Promise<void> => {
      const running = this.#holdStage(stream, peerId);
      this.#running.add(running);
      await running.finally(() => this.#running.delete(running));
    };
    this.#served.use(mesh.handle(methods.stage, holdStage));
    this.#served.use(mesh.handle(methods.ring, async (stream, { peerId }) => this.#joinRing(stream, peerId)));
    this.#served.use(mesh.handle(methods.generate, async (stream, remote) => this.#generate(stream, remote)));
  }

  /** Ends every stage and waits until their processes are gone. */
  async stop(): Promise<void> {
    this.#served.dispose();
    this.#stopping.abort(new SkeinError('aborted', 'the peer is shutting down'));
    await Promise.allSettled(this.#running);
  }

  /** Describes the stages for the peer's card, all but the one named if any is. */
  describe({ except }: { readonly except?: string } = {}): HeldStage[] {
    return [...this.#stages].filter(([key]) => key !== except).map(([, stage]) => stage.describe());
  }

  /** Holds a stage for as long as the coordinator keeps the stream open. */
  async #holdStage(stream: FrameStream, coordinator: string): Promise<void> {
    const load = parseHeader(stageLoadSchema, (await this.#read(stream)).header);
    const key = stageKey(load);
    if (this.#stages.size >= maxHeldStages) {
      throw new SkeinError('overloaded', `this machine holds ${maxHeldStages} stages already; take a deployment down`);
    }
    if (this.#stages.has(key)) throw new SkeinError('protocol-violation', 'this stage is held already');
    const others = (): HeldStage[] => this.describe({ except: key });
    const stage = new HostedStage(this.#components, load, others);
    this.#stages.set(key, stage);
    try {
      await this.#serveCoordinator(stream, stage);
    } catch (error) {
      const failure = asSkeinError(error);
      const { logger } = this.#components;
      // A peer that is shutting down ends its stages on purpose.
      const level = this.#stopping.signal.aborted ? 'debug' : 'warn';
      const { deployment, stage: index } = load;
      const fields = { deployment, stage: index, coordinator, code: failure.code };
      logger[level]({ ...fields, reason: failure.message, cause: failure.cause }, 'stage ended');
      await report(stream, { type: 'stage-failed', error: toWireError(failure) }).catch(() => stream.abort());
    } finally {
      await stage[Symbol.asyncDispose]();
      this.#stages.delete(key);
      this.#components.onChange();
      // Its memory is free again, that of GPUs as well.
      void this.#components.machine.measure().then(this.#components.onChange);
    }
  }

  /**
   * Serves a stage's coordinator. Returns when the coordinator releases the stage, by ending the stream or by being
   * gone. Throws the reason why the stage can't go on, such as a coordinator that breaks the protocol, which is told
   * so.
   */
  async #serveCoordinator(stream: FrameStream, stage: HostedStage): Promise<void> {
    const released = new AbortController();
    const broken = new AbortController();
    const connect = Promise.withResolvers<StageConnect>();
    const send = (event: StageEvent): void => {
      report(stream, event).catch(() => released.abort());
    };
    const obey = (command: StageCommand): void => {
      if (command.type === 'stage-connect') connect.resolve(command);
      else stage.drain(send);
    };
    const listen = async (): Promise<void> => {
      // Not `for await`: leaving that for an error drops the stream, and the coordinator is to hear of the error.
      for (let frame = await stream.read(); frame !== undefined; frame = await stream.read())
        obey(parseHeader(stageCommandSchema, frame.header));
    };
    listen().then(
      () => released.abort(),
      (error: unknown) => {
        if (!stream.lost.aborted) return broken.abort(asSkeinError(error));
        this.#components.logger.debug({ error, deployment: stage.load.deployment }, 'coordinator lost');
        released.abort();
      },
    );
    const signal = AbortSignal.any([released.signal, broken.signal, stage.ended, this.#stopping.signal]);
    try {
      await stage.prepare(throttledProgress(send), signal);
      if (stage.load.stages > 1) {
        await stage.connect(await untilAborted(connect.promise, signal), signal);
        send({ type: 'stage-connected' });
      }
      await untilAborted(new Promise<never>(() => undefined), signal);
    } catch (error) {
      if (!released.signal.aborted) throw error;
    }
  }

  async #joinRing(stream: FrameStream, peerId: string): Promise<void> {
    const { deployment, stage: index } = parseHeader(ringOpenSchema, (await this.#read(stream)).header);
    const stage = this.#stages.get(stageKey({ deployment, stage: index }));
    if (stage === undefined)
      throw new SkeinError('not-deployed', `stage ${index + 1} of deployment ${deployment} is not held here`);
    await stage.acceptPrevious(stream, peerId);
  }

  async #generate(stream: FrameStream, { peerId, signal }: Remote): Promise<void> {
    const { logger } = this.#components;
    const { header, payload } = await this.#read(stream);
    const { request, deployment, prompt, sampling, jsonSchema, ...settings } = parseHeader(
      generationRequestSchema,
      header,
    );
    const stage = this.#stages.get(stageKey({ deployment, stage: 0 }));
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

  async #read(stream: FrameStream) {
    const frame = await stream.read();
    if (frame === undefined) throw new SkeinError('protocol-violation', 'the stream ended before its first message');
    return frame;
  }
}

function stageKey({ deployment, stage }: Pick<StageLoad, 'deployment' | 'stage'>): string {
  return `${deployment}/${stage}`;
}

async function report(stream: FrameStream, event: StageEvent): Promise<void> {
  await stream.write(event);
}
