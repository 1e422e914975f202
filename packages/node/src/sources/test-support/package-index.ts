import { readFile, readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';

/** An index of Python packages on loopback. */
export interface PackageIndex extends AsyncDisposable {
  /** URL for pip's `--index-url`. */
  readonly url: string;
  /** Wheels that were asked for so far. */
  readonly fetched: string[];
  /** Whether a wheel's second half is held back for ever. */
  holdsBack: boolean;
}

/** Serves the wheels of a directory as an index does. */
export async function startPackageIndex(directory: string): Promise<PackageIndex> {
  const server = createServer((request, response) => {
    const [, kind, name = ''] = (request.url ?? '').split('/');
    if (kind === 'simple') {
      void readdir(directory).then((wheels) => {
        const own = wheels.filter((wheel) => wheel.startsWith(`${name.replaceAll('-', '_')}-`));
        response.setHeader('content-type', 'text/html');
        response.end(own.map((wheel) => `<a href="/files/${wheel}">${wheel}</a>`).join('\n'));
      });
      return;
    }
    index.fetched.push(name);
    void readFile(join(directory, name)).then((content) => {
      response.setHeader('content-length', content.byteLength);
      if (index.holdsBack) response.write(content.subarray(0, content.byteLength / 2));
      else response.end(content);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const index: PackageIndex = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/simple`,
    fetched: [],
    holdsBack: false,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return index;
}
