import { chooseLead, generate, type Mesh } from '@skein/mesh';
import type { Card } from '@skein/protocol';

import { meshModels, type Deployments } from '../deployments/index.ts';
import type { GenerationPort, ServedModel } from '../http/generation-port.ts';

export interface RouterComponents {
  readonly mesh: Pick<Mesh, 'cards' | 'open'>;
  readonly deployments: Pick<Deployments, 'ensure' | 'mayServe'>;
}

/** Sends each request to the least loaded lead of its model, whoever deployed it; without one, deploys the model first. */
export function createRouter({ mesh, deployments }: RouterComponents): GenerationPort {
  const servingCards = () => withoutStages(mesh.cards.snapshot(), (id) => deployments.mayServe(id));
  return {
    models: () => servedModels(servingCards()),
    async generate(model, input, { signal }) {
      const lead = chooseLead(servingCards(), { model });
      const route =
        lead === undefined
          ? await deployments.ensure(model, { signal })
          : { deployment: lead.stage.deployment, lead: lead.peer };
      const events = generate(mesh, route.lead, { deployment: route.deployment, ...input }, { signal });
      return { ...route, events };
    },
  };
}

/** Cards lag behind: a stage of a deployment that we know to be gone is not offered again. */
function withoutStages(cards: readonly Card[], mayServe: (deployment: string) => boolean): Card[] {
  return cards.map((card) => ({ ...card, stages: card.stages.filter((stage) => mayServe(stage.deployment)) }));
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
