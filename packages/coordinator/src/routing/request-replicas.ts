import { untilAborted } from '@skein/mesh';
import type { Card, PackedPrompt } from '@skein/protocol';
import type {
  Attempt,
  EnginesAtRisk,
  FailedAttempt,
  GenerationRun,
  Replicas,
  ReplicaSource,
  Route,
} from '@skein/serving';

import type { AskedReplica } from '../audit/index.ts';
import type { Canaries } from '../canaries/index.ts';
import type { Deployments } from '../deployments/index.ts';

export interface RequestReplicasComponents {
  readonly cards: () => readonly Card[];
  readonly deployments: Pick<Deployments, 'ensure' | 'peersOf' | 'wasTakenDown'>;
  readonly canaries: Pick<Canaries, 'out'>;
  readonly replicas: Replicas;
}

export interface RequestReplicasOptions {
  /** SHA-256 of the model. */
  readonly model: string;
  readonly prompt: PackedPrompt;
  /** Engines of the whole request. */
  readonly engines: EnginesAtRisk;
  readonly signal: AbortSignal;
  /** Resolves when the request may be sent. Default: it may be sent at once. */
  readonly admitted?: Promise<void> | undefined;
  /** Called with each replica before it is tried. */
  readonly onAsk: ((replica: AskedReplica) => void) | undefined;
  /** The run of the first choice, for the others: its replica has the prompt in its cache. */
  readonly first: GenerationRun | undefined;
}

/** A source of replicas for one choice of one request, which deploys the model when there is none. */
export class RequestReplicas implements ReplicaSource {
  readonly #components: RequestReplicasComponents;
  readonly #options: RequestReplicasOptions;
  /** Deployments that were made for this request in place of failed ones. */
  readonly #replacements = new Set<string>();

  constructor(components: RequestReplicasComponents, options: RequestReplicasOptions) {
    this.#components = components;
    this.#options = options;
  }

  /**
   * Takes a replica, once the request may be sent.
   *
   * @throws SkeinError the error of its admission; the failure of the first choice, when it came before that had begun; that of the last replica,
   * when none is left
   */
  async take(failed: readonly FailedAttempt[]): Promise<Attempt> {
    const { cards, deployments, replicas } = this.#components;
    const { model, prompt, engines, first, signal, admitted, onAsk } = this.#options;
    await admitted;
    if (first !== undefined && failed.length === 0) await untilAborted(first.begun, signal);
    // Found and counted in one go: a request that comes at the same moment sees this one.
    const ready = replicas.choose({ model, prompt, exclude: failed, prefer: first?.route, lost: engines.dead });
    const route = ready ?? (await this.#deploy(failed));
    const attempt = replicas.take({ prompt, ...route });
    const { deployment } = route;
    onAsk?.({ deployment, peers: deployments.peersOf(deployment) ?? stagePeers(cards(), route) });
    return attempt;
  }

  async #deploy(failed: readonly FailedAttempt[]): Promise<Route> {
    const { model, engines, signal } = this.#options;
    const { canaries, deployments } = this.#components;
    const last = failed.at(-1);
    if (last !== undefined) {
      // A replica that has too much to do is there: one more on the same machines would not help.
      const overloaded = failed.find(({ error }) => error.code === 'overloaded');
      const inVain = failed.find(({ deployment, hasAdded }) => !hasAdded && this.#replacements.has(deployment));
      // Somebody cut the answers of that deployment, and does not want it back for them.
      const cut = failed.find(({ deployment, hasAdded }) => hasAdded && deployments.wasTakenDown(deployment));
      if ((overloaded ?? inVain ?? cut) !== undefined) throw (overloaded ?? cut ?? last).error;
    }
    const lost = new Set([...failed.map(({ deployment }) => deployment), ...engines.dead, ...canaries.out()]);
    const route = await deployments.ensure(model, { signal, failed: [...lost] });
    if (last !== undefined) this.#replacements.add(route.deployment);
    return route;
  }
}

/**
 * Returns the holders of the stages of somebody else's deployment, according to the cards. The lead first, in pipeline
 * order.
 */
function stagePeers(cards: readonly Card[], { deployment, lead }: Route): readonly string[] {
  const stages = cards.flatMap(({ peer, stages }) => stages.map((stage) => ({ ...stage, peer })));
  const others = stages.filter((stage) => stage.deployment === deployment && stage.stage > 0);
  return [lead, ...others.sort((one, other) => one.stage - other.stage).map(({ peer }) => peer)];
}
