/** A coordinator's HTTP server under attack. */
export interface HttpTarget {
  /** Without `/v1`. */
  readonly url: string;
  readonly port: number;
  /** Name of a model that is deployed. */
  readonly model: string;
}

/** One thing that a client may do to harm others. */
export interface HttpAttack {
  readonly name: string;
  /** Takes long, or many connections: not among the tests. */
  readonly isHeavy?: boolean;
  /** Resolves when it was refused, or served as it should be. Throws what else came of it. */
  run(target: HttpTarget): Promise<void>;
}
