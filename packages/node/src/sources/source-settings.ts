import type { Agent } from 'node:http';

import { SkeinError } from '@skein/protocol';

import { AccessToken, readAccessToken } from './access-token.ts';

/** Settings of this machine for sources on the network. */
export interface SourceSettings {
  /** URL of the server with the repositories. Default: `https://huggingface.co`. */
  readonly endpoint?: string | undefined;
  /** Token that goes to that server alone. Default: none. */
  readonly token?: AccessToken | undefined;
  /** Variables that name proxies, as `http.Agent` takes them. Default: no proxy. */
  readonly proxies?: ProxyVariables | undefined;
}

export type ProxyVariables = NonNullable<NonNullable<ConstructorParameters<typeof Agent>[0]>['proxyEnv']>;

/**
 * Reads the settings from variables of the environment: `HF_ENDPOINT`, `HF_TOKEN`, or `HF_TOKEN_PATH` for a file with
 * mode 0600; `HTTPS_PROXY`, `HTTP_PROXY` and `NO_PROXY`, in upper or lower case. Empty ones count as missing.
 *
 * @throws SkeinError `invalid-request` for a value that can't be used; those of {@link readAccessToken}
 */
export async function readSourceSettings(
  environment: Readonly<Record<string, string | undefined>>,
  options: {
    /** File with the access token, in place of the one that the environment names. */
    readonly tokenFile?: string | undefined;
  } = {},
): Promise<SourceSettings> {
  const value = (name: string) => environment[name]?.trim() || undefined;
  const token = value('HF_TOKEN');
  const tokenFile = options.tokenFile ?? (token === undefined ? value('HF_TOKEN_PATH') : undefined);
  const names = ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'NO_PROXY', 'no_proxy'] as const;
  const proxies = Object.fromEntries(names.flatMap((name) => (value(name) === undefined ? [] : [[name, value(name)]])));
  for (const [name, url] of Object.entries(proxies)) if (!name.toLowerCase().startsWith('no')) assertProxy(name, url);
  return {
    endpoint: value('HF_ENDPOINT'),
    proxies,
    token:
      tokenFile !== undefined
        ? await readAccessToken(tokenFile)
        : token === undefined
          ? undefined
          : new AccessToken(token, 'HF_TOKEN'),
  };
}

function assertProxy(name: string, text: string | undefined): void {
  const url = URL.parse(text ?? '');
  if (url?.protocol === 'http:' || url?.protocol === 'https:') return;
  // The value may contain a password.
  throw new SkeinError('invalid-request', `${name} is not the URL of a proxy, like http://proxy.example:3128`);
}
