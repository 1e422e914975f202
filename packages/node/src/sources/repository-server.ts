import { SkeinError } from '@skein/protocol';

import type { AccessToken } from './access-token.ts';
import { isLoopback } from './local-hosts.ts';
import type { SourceSettings } from './source-settings.ts';

const defaultEndpoint = 'https://huggingface.co';

/** The server with the repositories. */
export class RepositoryServer {
  readonly #endpoint: URL;
  readonly #token: AccessToken | undefined;

  /** @throws SkeinError `invalid-request` for an endpoint that is no URL, or to which the token must not be sent */
  constructor({ endpoint = defaultEndpoint, token }: SourceSettings) {
    const url = URL.parse(endpoint);
    if (url === null || !['https:', 'http:'].includes(url.protocol) || url.username !== '' || url.password !== '') {
      throw new SkeinError(
        'invalid-request',
        'HF_ENDPOINT is not the URL of a server, like https://models.example, without user and password',
      );
    }
    if (token !== undefined && url.protocol === 'http:' && !isLoopback(url.hostname)) {
      throw new SkeinError(
        'invalid-request',
        `the access token would go to ${url.hostname} unencrypted; give HF_ENDPOINT a URL with https://, or unset HF_TOKEN`,
      );
    }
    this.#endpoint = url;
    this.#token = token;
  }

  get hostname(): string {
    return this.#endpoint.hostname;
  }

  get hasToken(): boolean {
    return this.#token !== undefined;
  }

  /** Returns the URL of a path, whose segments are given as plain text. */
  url(segments: readonly string[]): URL {
    const base = this.#endpoint.href.replace(/[?#].*$/, '').replace(/\/*$/, '/');
    return new URL(segments.map(encodeURIComponent).join('/'), base);
  }

  /** Returns the headers that only this server may see: none for any other URL. */
  credentialsFor(url: URL): Readonly<Record<string, string>> {
    if (this.#token === undefined || url.origin !== this.#endpoint.origin) return {};
    return { authorization: this.#token.authorization };
  }
}
