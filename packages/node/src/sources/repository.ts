import { checkJson, SkeinError } from '@skein/protocol';
import { z } from 'zod';

import { chooseFile } from './quantization.ts';
import { explainFailure, HttpClient, unreachable } from './http-client.ts';
import type { HuggingFaceOptions } from './hugging-face.ts';
import { RepositoryServer } from './repository-server.ts';
import type { HuggingFaceSpec, RepositorySpec } from './source-spec.ts';
import { StallGuard } from './stall-guard.ts';

/** Longest list of a repository's files, in bytes: more than 50,000 of them. */
const maxListBytes = 16 * 1024 * 1024;

const listSchema = z.object({
  sha: z.string().optional(),
  siblings: z.array(z.object({ rfilename: z.string().min(1).max(1024) })).max(100_000),
});

/**
 * Asks a repository which file a quantization stands for, and which commit a branch or tag is at, so that all parts
 * come from the same.
 *
 * @throws SkeinError `model-not-found`, with the models that there are; `model-unreachable`; `deadline-exceeded`;
 * `invalid-request` for settings that can't be used
 */
export async function resolveInRepository(
  { repository, revision, quantization }: RepositorySpec,
  options: HuggingFaceOptions & { readonly signal: AbortSignal },
): Promise<HuggingFaceSpec> {
  const server = new RepositoryServer(options);
  const url = server.url(['api', 'models', ...repository.split('/'), 'revision', revision]);
  const content = await fetchList(new HttpClient(server, options), url, options);
  const list = checkJson(listSchema, content);
  if (!list.ok) throw unreachable(url, `its list of files is not one: ${list.problem}`);
  const { sha, siblings } = list.data;
  const file = chooseFile(
    repository,
    siblings.map(({ rfilename }) => rfilename),
    quantization,
  );
  if (file.split('/').some((part) => part === '' || part === '.' || part === '..')) {
    throw new SkeinError('model-not-found', `${repository} lists a file with an impossible path; choose another one`);
  }
  const commit = /^[0-9a-f]{40}$/.exec(sha ?? '')?.[0];
  return { kind: 'hugging-face', repository, revision: commit ?? revision, file };
}

async function fetchList(
  client: HttpClient,
  url: URL,
  { signal, answerTimeoutMs: timeoutMs = 20_000 }: HuggingFaceOptions & { readonly signal: AbortSignal },
): Promise<Uint8Array> {
  const message = `${url.hostname} did not list its files in ${timeoutMs / 1000} s; check the connection and try again`;
  // The time is for the whole list: it is short, and a server that sends a byte now and then must not hold us.
  using guard = new StallGuard({ signal, timeoutMs, message });
  const onProgress = () => guard.progress();
  const { response } = await client.request({ url, method: 'GET', signal: guard.signal, onProgress });
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response as AsyncIterable<Uint8Array>) {
      bytes += chunk.byteLength;
      if (bytes > maxListBytes) throw unreachable(url, `its list of files is longer than ${maxListBytes} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    throw explainFailure(error, { url, signal: guard.signal });
  }
  return Buffer.concat(chunks);
}
