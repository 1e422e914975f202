import type { Card, HeldStage, StagePlacement } from '@skein/protocol';

/** One stage of a deployment, as its peer's card shows it. */
export interface StageView {
  readonly peer: string;
  /** Name of the machine. */
  readonly on: string;
  /** The first layer, and the one after the last. */
  readonly layers: readonly [from: number, to: number];
  readonly state: HeldStage['state'];
  /** Memory in which it lies; undefined until it is loaded. */
  readonly placement: StagePlacement | undefined;
}

export interface DeploymentView {
  readonly id: string;
  /** Name of the model in requests. */
  readonly name: string;
  /** SHA-256 of the model. */
  readonly model: string;
  /** Whether it answers: its lead reports so only while the whole pipeline is connected. */
  readonly isReady: boolean;
  /** Whether it stands by: it answers what no other replica of the model may. */
  readonly isStandby: boolean;
  /** Whether it is being taken down: it ends the answers that run and takes no more requests. */
  readonly isDraining: boolean;
  /**
   * Whether a coordinator found it to answer otherwise than replicas like it: `out` gets no more requests, of the
   * `doubted` nobody knows which is wrong. Left out for all others.
   */
  readonly doubt?: 'out' | 'doubted' | undefined;
  /** Stages in pipeline order. */
  readonly stages: readonly StageView[];
  /** Tokens of context, shared by all sequences. */
  readonly contextTokens: number;
  /** Number of answers at once. Beside it: how many there are now, and how many requests wait for their turn. */
  readonly sequences: number;
  readonly active: number;
  readonly queued: number;
  /** Decode speed of a sequence that ran alone, and the one that was predicted. Undefined before one has. */
  readonly tokensPerSecond: number | undefined;
  readonly predictedTokensPerSecond: number | undefined;
}

/** Assembles all deployments in the mesh, whoever made them, from the stages on the cards. Sorted by name, then id. */
export function deploymentsOf(cards: readonly Card[]): readonly DeploymentView[] {
  const held = cards.flatMap(({ peer, name, stages }) => stages.map((stage) => ({ ...stage, peer, on: name })));
  const doubts = cards.filter(({ roles }) => roles.includes('coordinator')).flatMap((card) => card.doubts ?? []);
  const byDeployment = Map.groupBy(held, ({ deployment }) => deployment);
  const views = [...byDeployment].map(([id, unordered]) => {
    const stages = unordered.sort((one, other) => one.stage - other.stage);
    const lead = stages.find(({ stage }) => stage === 0);
    // Every stage tells what it is a stage of; the lead's card may be on its way.
    const witness = lead ?? stages[0];
    const doubted = doubts.filter(({ deployment }) => deployment === id);
    const doubt: DeploymentView['doubt'] = doubted.some(({ isOut }) => isOut) ? 'out' : 'doubted';
    return {
      id,
      ...(doubted.length > 0 && { doubt }),
      name: witness?.name ?? '',
      model: witness?.model ?? '',
      isReady: lead?.state === 'ready',
      isStandby: lead?.standby === true,
      isDraining: lead?.state === 'draining',
      stages: stages.map(({ peer, on, block, state, placement }) => ({
        peer,
        on,
        layers: [block.from, block.to] as const,
        state,
        placement,
      })),
      contextTokens: witness?.contextTokens ?? 0,
      sequences: witness?.sequences ?? 0,
      active: lead?.active ?? 0,
      queued: lead?.queued ?? 0,
      tokensPerSecond: lead?.tokensPerSecond,
      predictedTokensPerSecond: lead?.predictedTokensPerSecond,
    };
  });
  return views.sort((one, other) => one.name.localeCompare(other.name) || one.id.localeCompare(other.id));
}
