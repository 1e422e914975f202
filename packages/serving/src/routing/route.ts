/** A lead of a deployment. One peer may lead several. */
export interface Route {
  readonly deployment: string;
  /** Peer id of the lead. */
  readonly lead: string;
}

/** Returns the key of a lead in maps. Peer ids have no slash. */
export function routeKey({ deployment, lead }: Route): string {
  return `${lead}/${deployment}`;
}

/** Tells whether a lead is among some. */
export function isAmong(routes: readonly Route[], { deployment, lead }: Route): boolean {
  return routes.some((route) => route.deployment === deployment && route.lead === lead);
}
