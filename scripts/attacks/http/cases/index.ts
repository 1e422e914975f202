import type { HttpAttack } from '../http-attack.ts';
import { bodies } from './bodies.ts';
import { connections } from './connections.ts';
import { grammars } from './grammars.ts';
import { headers, operators } from './headers.ts';
import { localRoutes } from './local-routes.ts';
import { prompts } from './prompts.ts';
import { uploads } from './uploads.ts';

/** All attacks. A new one is one more entry of one of these lists. */
export const httpAttacks: readonly HttpAttack[] = [
  ...bodies,
  ...uploads,
  ...prompts,
  ...grammars,
  ...connections,
  ...headers,
  ...operators,
  ...localRoutes,
];
