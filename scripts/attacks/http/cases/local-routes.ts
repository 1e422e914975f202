import { adminRoutes, type AdminRoute } from '@skein/protocol';

import type { HttpAttack } from '../http-attack.ts';
import { exchange, rawPost } from '../requests.ts';

const routes: Readonly<Record<string, AdminRoute>> = adminRoutes;
const someone = '12D3KooWBmAwcd4PJNJvfV89HwE48nwkRmAgo8Vy3uQEyNNHBox2';

/** Requests at the TCP port for routes that are for the daemon's socket alone. */
export const localRoutes: readonly HttpAttack[] = Object.entries(routes)
  .filter(([, { callers }]) => callers === 'local')
  .map(([name, { method, path }]) => ({
    name: `${name}, which is for the machine's own people`,
    run: async (target) => {
      const place = path.replaceAll(/:\w+/g, someone);
      const headers = { connection: 'close' };
      // As it is, spelled in other ways, and as a request for something else.
      for (const spelled of [
        place,
        `${place}/`,
        `/${place}`,
        place.replace('/v1/', '/v1/%2e/'),
        `/health/..${place}`,
      ]) {
        const request = rawPost(spelled, '{}', headers).replace(/^POST/, method);
        const answer = await exchange(target, request);
        if (!answer.startsWith('HTTP/1.1 404 ')) throw new Error(`${spelled} answered ${answer.slice(0, 200)}`);
      }
    },
  }));
