import { PromptDigests, type Mesh } from '@skein/mesh';
import {
  check,
  distinctNames,
  generationRequestSchema,
  labelsSchema,
  packPrompt,
  resolveModel,
  samplingSchema,
  SkeinError,
  type DescribedLogprobs,
  type Labels,
} from '@skein/protocol';
import {
  EnginesAtRisk,
  GenerationRun,
  meshCatalog,
  PrefixFollower,
  Replicas,
  type Attempt,
  type CatalogModel,
  type ChosenReplica,
  type FailedAttempt,
  type ReplicaQuery,
  type Route,
} from '@skein/serving';

import type { GenerationStream, Logprobs, TokenLogprob } from '../generation/generation.ts';
import type { GenerationSettings, TransportRequest } from '../generation/request.ts';
import type { ServedModel, Transport } from '../transport.ts';
import { AskedRings } from './asked-rings.ts';

/**
 * Longest wait for the card of a lead after the first member's card, in milliseconds. Cards of all members come
 * together.
 */
const settleMs = 1500;

/** Longest wait for another replica of half an answer, in milliseconds: as long as over HTTP for a coordinator. */
const replacementMs = 30_000;

export type ClientMesh = Pick<Mesh, 'cards' | 'open' | 'peerId' | 'start' | 'stop'>;

/** A transport to the leads themselves, over the mesh, with no coordinator on the way. It owns the mesh that it is given. */
export class MeshTransport implements Transport {
  readonly #mesh: ClientMesh;
  readonly #replicas: Replicas;
  readonly #follower: PrefixFollower;
  readonly #replacementMs: number;

  /** @param options.replacementMs longest wait for another replica of half an answer, in milliseconds. Default 30,000 */
  constructor(mesh: ClientMesh, options: { readonly replacementMs?: number } = {}) {
    this.#mesh = mesh;
    this.#replacementMs = options.replacementMs ?? replacementMs;
    const digests = new PromptDigests();
    this.#replicas = new Replicas({ cards: mesh.cards, digests });
    this.#follower = new PrefixFollower({ mesh, replicas: this.#replicas, digests, offersKey: false });
  }

  /** Waits for a first member, and then a moment for one that serves a model. */
  async connect({ signal }: { readonly signal: AbortSignal }): Promise<void> {
    await this.#mesh.start();
    await this.#waitFor(() => this.#mesh.cards.snapshot().some(({ peer }) => peer !== this.#mesh.peerId), signal);
    signal.throwIfAborted();
    const settled = AbortSignal.any([signal, AbortSignal.timeout(settleMs)]);
    await this.#waitFor(() => this.#replicas.choose({}) !== undefined, settled);
  }

  async *generate({ prompt, settings }: TransportRequest, options: { readonly signal: AbortSignal }): GenerationStream {
    const { model: name, labels, session, ...wanted } = settings;
    const model = this.#resolve(name);
    const packed = packPrompt(prompt);
    const query = { model, prompt: packed, session, labels: labels && checkedLabels(labels) };
    const engines = new EnginesAtRisk();
    const asked = new AskedRings(this.#replicas, engines);
    const run: GenerationRun = new GenerationRun(this.#mesh, {
      engines,
      replicas: {
        take: async (failed, prefer) => {
          const preferring = { ...query, prefer };
          if (!run.transcript.isEmpty)
            await this.#untilReplaced(() => this.#choose(preferring, failed, asked), options.signal);
          return this.#takeReplica(preferring, failed, asked);
        },
        follower: (current, last) => this.#replicas.follower({ ...query, lost: engines.dead, prefer: last }, current),
      },
      request: { prompt: packed, ...toRequest(wanted) },
      ...options,
    });
    for await (const event of run) {
      if (event.type === 'generation-begin') continue;
      if (event.type === 'generation-end') {
        const { finishReason, usage, timings } = event;
        return { finishReason, usage, timings };
      }
      const { text, tokens, logprobs } = event;
      yield { text, tokens, ...(logprobs !== undefined && { logprobs: logprobs.map(withText) }) };
    }
    throw new SkeinError('peer-lost', 'the lead stopped before the end of the generation');
  }

  async models(): Promise<readonly ServedModel[]> {
    const served = this.#served();
    const names = distinctNames(served);
    return served.map(({ model, name }) => ({ name: names.get(model) ?? name, isDeployed: true }));
  }

  async close(): Promise<void> {
    this.#follower[Symbol.dispose]();
    await this.#mesh.stop();
  }

  /** Returns the models with a replica: nothing is deployed for a client over the mesh. */
  #served(): readonly CatalogModel[] {
    return meshCatalog(this.#mesh.cards.snapshot()).filter(({ isServed }) => isServed);
  }

  /**
   * Returns the SHA-256 of the served model that a name means, or of the first one.
   *
   * @throws SkeinError `not-deployed` when no served model has the name, `invalid-request` when several have it
   */
  #resolve(name: string | undefined): string {
    const served = this.#served();
    const found = name === undefined ? served[0] : resolveModel(served, name);
    if (found !== undefined) return found.model;
    throw notDeployed(name === undefined ? 'no model' : `no model "${name.slice(0, 200)}"`);
  }

  /**
   * Takes a replica that has not failed yet.
   *
   * @throws SkeinError the last replica's error when all have failed, `not-deployed` when there was none
   */
  #takeReplica(query: ReplicaQuery, failed: readonly FailedAttempt[], asked: AskedRings): Attempt {
    const found = this.#choose(query, failed, asked);
    if (found === undefined) throw failed.at(-1)?.error ?? notDeployed(whatIsMissing(query));
    asked.add(found);
    return this.#replicas.take(found);
  }

  #choose(query: ReplicaQuery, failed: readonly FailedAttempt[], asked: AskedRings): ChosenReplica | undefined {
    const isRest = failed.some(({ hasAdded }) => hasAdded);
    return this.#replicas.choose({ ...query, isRest, exclude: asked.stillLost(failed) });
  }

  /** Waits until there is a replica, or as long as half an answer can wait: others have a lost one deployed anew. */
  async #untilReplaced(choose: () => Route | undefined, signal: AbortSignal): Promise<void> {
    const inTime = AbortSignal.any([signal, AbortSignal.timeout(this.#replacementMs)]);
    await this.#waitFor(() => choose() !== undefined, inTime);
  }

  async #waitFor(isSo: () => boolean, signal: AbortSignal): Promise<void> {
    for await (const _ of this.#mesh.cards.watch({ signal })) if (isSo()) return;
  }
}

/** Settings as callers give them: those of sampling beside the others. */
const settingsSchema = samplingSchema.extend(
  generationRequestSchema.pick({ maxTokens: true, stop: true, jsonSchema: true, speculation: true }).shape,
);

/**
 * Checks the labels of a request.
 *
 * @throws SkeinError `invalid-request` for labels that no machine can have
 */
function checkedLabels(labels: Readonly<Record<string, string>>): Labels {
  const checked = check(labelsSchema, labels);
  if (checked.ok) return checked.data;
  throw new SkeinError('invalid-request', `labels: ${checked.problem}`, { cause: checked.cause });
}

/** Says what there is no replica of. */
function whatIsMissing({ labels }: ReplicaQuery): string {
  if (labels === undefined) return 'no model of this hash';
  const wanted = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return `no model of this hash, on machines with ${wanted.join(' and ')} alone,`;
}

function notDeployed(what: string): SkeinError {
  return new SkeinError(
    'not-deployed',
    `${what} is deployed; on the machine that ran \`skein up\`, run \`skein deploy <model>\``,
  );
}

/**
 * Makes a request of a caller's settings.
 *
 * @throws SkeinError `invalid-request` that names the setting at fault
 */
function toRequest(settings: Omit<GenerationSettings, 'model'>) {
  const { maxTokens, stop, jsonSchema, speculation, ...sampling } = settings;
  const checked = check(settingsSchema, {
    ...sampling,
    maxTokens,
    stop,
    jsonSchema: jsonSchema === undefined ? undefined : JSON.stringify(jsonSchema),
    speculation,
  });
  if (!checked.ok) throw new SkeinError('invalid-request', checked.problem, { cause: checked.cause });
  const { maxTokens: most, stop: ends, jsonSchema: schema, speculation: speculates, ...drawn } = checked.data;
  return {
    sampling: drawn,
    ...(most !== undefined && { maxTokens: most }),
    stop: ends,
    ...(schema !== undefined && { jsonSchema: schema }),
    ...(speculates !== undefined && { speculation: speculates }),
  };
}

function withText(described: DescribedLogprobs): Logprobs {
  return { ...tokenWithText(described), top: described.top.map(tokenWithText) };
}

function tokenWithText({ token, logprob, bytes }: Omit<DescribedLogprobs, 'top'>): TokenLogprob {
  return { token, text: new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(bytes)), bytes, logprob };
}
