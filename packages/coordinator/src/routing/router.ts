import {
  chooseLead,
  generate,
  generateSomewhere,
  type GenerationDeadlines,
  type Mesh,
  type Refusal,
  type Route,
} from '@skein/mesh';
import type { Card } from '@skein/protocol';

import { meshModels, type Deployments } from '../deployments/index.ts';
import type { GenerationPort, ServedModel } from '../http/generation-port.ts';
import { OwnRequests } from './own-requests.ts';

export interface RouterComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
  readonly deployments: Pick<Deployments, 'ensure' | 'mayServe' | 'peersOf'>;
}

/**
 * How long a lead may be silent, in milliseconds. First event, default 300,000: a full queue and a long prompt on slow
 * machines take minutes, and clients give up by themselves about then. Gap, default 60,000: a step of any machine is
 * shorter, so what lasts longer is lost.
 */
export type RouterOptions = Partial<GenerationDeadlines>;

const defaultDeadlines: GenerationDeadlines = { firstEventMs: 300_000, gapMs: 60_000 };

/**
 * Sends each request to the least loaded lead of its model, whoever deployed it; without one, deploys the model first. A
 * request whose lead fails before its first event goes to another one, and when there is none, the model is deployed once
 * more for it. Further inputs of the same request go where the first one went, once that has begun: its prompt is in the
 * cache there.
 */
export function createRouter({ mesh, deployments }: RouterComponents, options: RouterOptions = {}): GenerationPort {
  const deadlines = { ...defaultDeadlines, ...options };
  const own = new OwnRequests();
  const servingCards = () => withoutStages(mesh.cards.snapshot(), (id) => deployments.mayServe(id));
  return {
    models: () => servedModels(servingCards()),
    async generate(model, [first, ...others], { signal, onAsk }) {
      let hasDeployedAgain = false;
      let release = (): void => undefined;
      const choose = async (refusals: readonly Refusal[]): Promise<Route> => {
        const found = chooseLead(own.addTo(servingCards()), { model, besides: refusals });
        if (found !== undefined) return { deployment: found.stage.deployment, lead: found.peer };
        const last = refusals.at(-1);
        if (last !== undefined) {
          // A replica that has too much to do is there: one more on the same machines would not help.
          const isOverloaded = refusals.find(({ error }) => error.code === 'overloaded');
          if (isOverloaded !== undefined || hasDeployedAgain) throw (isOverloaded ?? last).error;
          hasDeployedAgain = true;
        }
        return await deployments.ensure(model, { signal, failed: refusals.map(({ deployment }) => deployment) });
      };
      const chooseAndCount = async (refusals: readonly Refusal[]): Promise<Route> => {
        release();
        const route = await choose(refusals);
        release = own.add(route.deployment);
        const { deployment, lead } = route;
        onAsk?.({ deployment, peers: deployments.peersOf(deployment) ?? stagePeers(mesh.cards.snapshot(), route) });
        return { deployment, lead };
      };
      try {
        const routed = await generateSomewhere(mesh, { choose: chooseAndCount, request: first, signal, deadlines });
        const { events, ...route } = routed;
        const { deployment, lead } = route;
        // Events that are never read come to an end with the signal.
        signal.addEventListener('abort', release, { once: true });
        const rest = others.map((input) => generate(mesh, lead, { deployment, ...input }, { signal, deadlines }));
        return { ...route, choices: [endingWith(events, release), ...rest] };
      } catch (error) {
        release();
        throw error;
      }
    },
  };
}

async function* endingWith<Value>(events: AsyncIterable<Value>, end: () => void): AsyncGenerator<Value> {
  try {
    yield* events;
  } finally {
    end();
  }
}

/** Cards lag behind: a stage of a deployment that we know to be gone is not offered again. */
function withoutStages(cards: readonly Card[], mayServe: (deployment: string) => boolean): Card[] {
  return cards.map((card) => ({ ...card, stages: card.stages.filter((stage) => mayServe(stage.deployment)) }));
}

/** Who holds the stages of somebody else's deployment, as far as cards tell. The lead first, in pipeline order. */
function stagePeers(cards: readonly Card[], { deployment, lead }: Route): readonly string[] {
  const stages = cards.flatMap(({ peer, stages }) => stages.map((stage) => ({ ...stage, peer })));
  const others = stages.filter((stage) => stage.deployment === deployment && stage.stage > 0);
  return [lead, ...others.sort((one, other) => one.stage - other.stage).map(({ peer }) => peer)];
}

/** What is held or served somewhere, one entry per model, by name. */
function servedModels(cards: readonly Card[]): ServedModel[] {
  const models = new Map<string, ServedModel>();
  for (const { model, name, bytes } of meshModels(cards)) {
    models.set(model, { id: name, sha256: model, bytes, deployed: false });
  }
  for (const { model, name, stage, state } of cards.flatMap((card) => card.stages)) {
    if (stage !== 0 || state !== 'ready') continue;
    models.set(model, { id: name, sha256: model, bytes: models.get(model)?.bytes, deployed: true });
  }
  return [...models.values()].sort((first, second) => (first.id < second.id ? -1 : 1));
}
