import { isLoopbackHost } from '@skein/mesh';
import { SkeinError } from '@skein/protocol';
import type { MiddlewareHandler } from 'hono';

/**
 * Makes a guard that keeps web pages from using the API through the browser of someone on this machine. A page that
 * points its own domain at 127.0.0.1 (DNS rebinding) gives itself away by its Host header. A plain cross-site POST
 * can't be JSON without a preflight, which is never answered: there are no CORS headers here.
 *
 * The guard throws SkeinError `invalid-request`.
 */
export function browserGuard(): MiddlewareHandler {
  return async (context, next) => {
    const { method, headers, url } = context.req.raw;
    const hostname = hostnameOf(headers.get('host') ?? new URL(url).host);
    if (hostname === undefined || !isLoopbackHost(hostname)) {
      throw new SkeinError('invalid-request', 'this API answers to localhost only; use http://127.0.0.1 with its port');
    }
    const contentType = headers.get('content-type')?.split(';', 1)[0]?.trim().toLowerCase();
    if (method === 'POST' && contentType !== 'application/json') {
      throw new SkeinError('invalid-request', 'POST takes JSON; set the header "content-type: application/json"');
    }
    await next();
  };
}

function hostnameOf(host: string): string | undefined {
  return URL.parse(`http://${host}`)?.hostname;
}
