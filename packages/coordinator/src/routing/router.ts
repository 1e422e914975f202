import { PromptDigests, type Mesh } from '@skein/mesh';
import { distinctNames, type Card, type HeldStage, type Logger } from '@skein/protocol';
import {
  EnginesAtRisk,
  findModel,
  GenerationRun,
  meshCatalog,
  PrefixFollower,
  Replicas,
  type GenerationDeadlines,
} from '@skein/serving';

import type { Canaries } from '../canaries/index.ts';
import type { ComingModel, Deployments } from '../deployments/index.ts';
import type { GenerationPort, ServedModel } from '../http/generation-port.ts';
import { RequestReplicas } from './request-replicas.ts';

export interface RouterComponents {
  readonly mesh: Pick<Mesh, 'absent' | 'cards' | 'open'>;
  readonly deployments: Pick<Deployments, 'ensure' | 'mayServe' | 'peersOf' | 'wasTakenDown'>;
  readonly canaries: Pick<Canaries, 'isOut' | 'out'>;
  /** The model that this machine was started with, if any. */
  readonly coming?: Pick<ComingModel, 'awaited'> | undefined;
}

/**
 * Longest silences of a lead, in milliseconds. First token, default 300,000: a full queue and a long prompt on slow
 * machines take minutes, and clients give up by themselves about then. Gap, default 60,000: a step of any machine is
 * shorter, so a longer silence means a loss.
 */
export type RouterOptions = Partial<GenerationDeadlines>;

const defaultDeadlines: GenerationDeadlines = { firstTokenMs: 300_000, gapMs: 60_000 };

/** The router of requests, and what their admission has to know of replicas. */
export interface Router extends GenerationPort {
  /** Returns, for each replica of a model that takes new requests, the sequences that it generates at once. */
  sequencesOf(model: string): readonly number[];
  /**
   * Resolves when a replica of a model serves; has the model deployed where none is coming.
   *
   * @throws SkeinError the reason why it can't be deployed
   */
  prepare(model: string, options: { readonly signal: AbortSignal }): Promise<void>;
  /** Follows what leads tell of their caches, until the returned object is disposed. */
  followPrefixes(logger: Logger): Disposable;
}

/**
 * Makes the router of requests: each goes to the replica of its model that is expected to answer first, whoever deployed it; without one, the
 * model is deployed first. A request whose lead fails goes on at another one, and when there is none, the model is deployed
 * once more for it, unless somebody took the deployment down that answered it. Each choice of a request is a run of its own, which prefers the replica
 * of the first one.
 */
export function createRouter(
  { mesh, deployments, canaries, coming }: RouterComponents,
  options: RouterOptions = {},
): Router {
  const deadlines = { ...defaultDeadlines, ...options };
  const cards = () => mesh.cards.snapshot();
  const mayServe = (id: string) => deployments.mayServe(id) && !canaries.isOut(id);
  const digests = new PromptDigests();
  const replicas = new Replicas({ cards: mesh.cards, digests, mayServe });
  const models = (): ServedModel[] => servedModels(replicas.cards());
  return {
    models: () => models().filter(({ unusable }) => unusable === undefined),
    find: (reference) => findModel({ models: models(), absent: mesh.absent(), awaited: coming?.awaited }, reference),
    sequencesOf: (model) => replicas.sequencesOf(model),
    async prepare(model, { signal }) {
      await deployments.ensure(model, { signal, failed: canaries.out() });
    },
    followPrefixes: (logger) => new PrefixFollower({ mesh, replicas, digests, logger, offersKey: true }),
    generate(model, inputs, { id, signal, routing, admitted, onAsk }) {
      const engines = new EnginesAtRisk();
      const runs: GenerationRun[] = [];
      for (const request of inputs) {
        const options = { model, prompt: request.prompt, engines, signal, routing, admitted, onAsk, first: runs[0] };
        const source = new RequestReplicas({ cards, deployments, canaries, replicas }, options);
        runs.push(new GenerationRun(mesh, { id, request, replicas: source, engines, signal, deadlines }));
      }
      return runs;
    },
  };
}

function servedModels(cards: readonly Card[]): ServedModel[] {
  const models = meshCatalog(cards);
  const ids = distinctNames(models);
  const leads = cards.flatMap(({ stages }) => stages.filter(isReadyLead));
  return models.map((model) => {
    const contexts = leads.filter((lead) => lead.model === model.model).map(({ contextTokens }) => contextTokens);
    return {
      ...model,
      id: ids.get(model.model) ?? model.model,
      contextTokens: contexts.length === 0 ? undefined : Math.max(...contexts),
    };
  });
}

function isReadyLead({ stage, state }: HeldStage): boolean {
  return stage === 0 && state === 'ready';
}
