export { bestChains, maxExactPeers } from './exact.ts';
export { goodChains } from './heuristic.ts';
export { bestCut } from './ordered.ts';
export { beginOf, elementAt, problemOf, stageCosts, type Aim, type Chain, type ChainProblem } from './problem.ts';
