/** A coordinator's HTTP server under attack. */
export interface HttpTarget {
  /** URL without `/v1`. */
  readonly url: string;
  readonly port: number;
  /** Name of a model that is deployed. */
  readonly model: string;
}

/** One thing that a client may do to harm others. */
export interface HttpAttack {
  readonly name: string;
  /** Whether it takes long, or many connections: such attacks are not among the tests. */
  readonly isHeavy?: boolean;
  /** Makes the attack. Resolves when it was refused, or served properly; throws any other result. */
  run(target: HttpTarget): Promise<void>;
}
