import { untilAborted } from '@skein/mesh';
import { SkeinError, type Card, type Labels, type PackedPrompt } from '@skein/protocol';
import type {
  Attempt,
  EnginesAtRisk,
  FailedAttempt,
  GenerationRun,
  Replicas,
  ReplicaSource,
  Route,
} from '@skein/serving';

import type { AnsweringMachine, AskedReplica } from '../audit/index.ts';
import type { Canaries } from '../canaries/index.ts';
import type { Deployments } from '../deployments/index.ts';
import type { RoutingHeaders } from '../http/routing-headers.ts';

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
  /** Labels of the machines, and session. */
  readonly routing: RoutingHeaders | undefined;
  /** Engines of the whole request. */
  readonly engines: EnginesAtRisk;
  readonly signal: AbortSignal;
  /** Resolves when the request may be sent. Default: it may be sent at once. */
  readonly admitted?: Promise<void> | undefined;
  /** Called with each replica before it is tried, and before it reads along. */
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
  async take(failed: readonly FailedAttempt[], prefer?: Route): Promise<Attempt> {
    const { replicas } = this.#components;
    const { model, prompt, engines, first, signal, routing, admitted } = this.#options;
    await admitted;
    if (first !== undefined && failed.length === 0) await untilAborted(first.begun, signal);
    // Found and counted in one go: a request that comes at the same moment sees this one.
    const ready = replicas.choose({
      ...routing,
      model,
      prompt,
      exclude: failed,
      prefer: prefer ?? first?.route,
      lost: engines.dead,
      isRest: failed.some(({ hasAdded }) => hasAdded),
    });
    const route = ready ?? (await this.#deploy(failed));
    const attempt = replicas.take({ prompt, session: routing?.session, ...route });
    this.#options.onAsk?.(this.#describe(route));
    return attempt;
  }

  follower(current: Route, last?: Route): Route | undefined {
    const { model, prompt, engines, routing } = this.#options;
    const { replicas } = this.#components;
    const query = { model, prompt, labels: routing?.labels, lost: engines.dead, prefer: last };
    return replicas.follower(query, current);
  }

  readsAlong(route: Route): void {
    this.#options.onAsk?.({ ...this.#describe(route), readsAlong: true });
  }

  /** Describes a replica with the machines that see what is sent there. */
  #describe(route: Route): AskedReplica {
    const { cards, deployments } = this.#components;
    const { deployment } = route;
    const peers = deployments.peersOf(deployment) ?? stagePeers(cards(), route);
    if (this.#options.routing?.labels === undefined) return { deployment, peers };
    return { deployment, peers, machines: machinesOf(cards(), peers) };
  }

  async #deploy(failed: readonly FailedAttempt[]): Promise<Route> {
    const { model, engines, signal, routing } = this.#options;
    if (routing?.labels !== undefined) throw nowhere(routing.labels);
    const { canaries, deployments } = this.#components;
    const last = failed.at(-1);
    if (last !== undefined) {
      // A replica that has too much to do is there: one more on the same machines would not help.
      const overloaded = failed.find(({ error }) => error.code === 'overloaded');
      const inVain = failed.find(({ deployment, hasAdded }) => !hasAdded && this.#replacements.has(deployment));
      // No replica continues the answer that its client has brought: another one would refuse it, too.
      const unfit = failed.every(({ error }) => unfitCodes.has(error.code)) ? last : undefined;
      // Somebody cut the answers of that deployment, and does not want it back for them.
      const cut = failed.find(({ deployment, hasAdded }) => hasAdded && deployments.wasTakenDown(deployment));
      if ((overloaded ?? inVain ?? unfit ?? cut) !== undefined) throw (overloaded ?? cut ?? last).error;
    }
    const lost = new Set([...failed.map(({ deployment }) => deployment), ...engines.dead, ...canaries.out()]);
    const route = await deployments.ensure(model, { signal, failed: [...lost] });
    if (last !== undefined) this.#replacements.add(route.deployment);
    // It has lost a stage and has got it back.
    engines.rebuilt(route.deployment);
    return route;
  }
}

/** Codes with which a lead refuses to continue an answer. */
const unfitCodes: ReadonlySet<string> = new Set(['invalid-request', 'context-length-exceeded']);

/** Makes the error for a request whose labels the machines of no replica have: nothing is deployed for those. */
function nowhere(labels: Labels): SkeinError {
  const wanted = Object.entries(labels).map(([name, value]) => `${name}=${value}`);
  return new SkeinError(
    'no-peers',
    `no replica of this model that could answer lies on machines with ${wanted.join(' and ')} alone, as the request asks; deploy one there, or ask without these labels`,
  );
}

/** Describes the machines of a replica by their cards, whose labels are those of their certificates. */
function machinesOf(cards: readonly Card[], peers: readonly string[]): readonly AnsweringMachine[] {
  return peers.map((peer) => {
    const { name = '', labels = {} } = cards.find((card) => card.peer === peer) ?? {};
    return { peer, name, labels };
  });
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
