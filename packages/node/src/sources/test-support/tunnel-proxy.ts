import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';

/** A proxy on loopback that opens tunnels, and passes on nothing else. */
export interface TunnelProxy extends AsyncDisposable {
  readonly port: number;
  /** Targets of the tunnels so far, each with the credentials for the proxy. */
  readonly tunnels: { readonly target: string; readonly credentials: string | undefined }[];
  /** All that clients have sent, to the proxy and through its tunnels, as Latin-1. */
  sent(): string;
}

/**
 * Starts a proxy that leads each target to a port of this machine.
 *
 * @param options.ports by target, e.g. `models.example:443`; other targets are refused with 502
 * @param options.password of the user `user`, without whom all is refused with 407. Default: none
 */
export async function startTunnelProxy(options: {
  readonly ports: Readonly<Record<string, { readonly host: string; readonly port: number }>>;
  readonly password?: string;
}): Promise<TunnelProxy> {
  const tunnels: TunnelProxy['tunnels'] = [];
  const sent: Buffer[] = [];
  const sockets = new Set<Socket>();
  const wanted = options.password && `Basic ${Buffer.from(`user:${options.password}`, 'latin1').toString('base64')}`;
  const server = createServer((request, response) => {
    sent.push(Buffer.from(`${request.method} ${request.url} ${request.rawHeaders.join(' ')}`));
    response.writeHead(403).end();
  });
  server.on('connect', (request, client: Socket) => {
    const { url: target = '', headers } = request;
    const credentials = headers['proxy-authorization'];
    sent.push(Buffer.from(`CONNECT ${target} ${request.rawHeaders.join(' ')}`));
    if (wanted !== undefined && credentials !== wanted) {
      client.end('HTTP/1.1 407 Proxy Authentication Required\r\nproxy-authenticate: Basic\r\n\r\n');
      return;
    }
    tunnels.push({ target, credentials });
    const to = options.ports[target];
    if (to === undefined) return void client.end('HTTP/1.1 502 Bad Gateway\r\n\r\n');
    const upstream = connect(to, () => client.write('HTTP/1.1 200 Connection Established\r\n\r\n'));
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined).once('close', () => sockets.delete(socket));
    }
    client.on('data', (bytes: Buffer) => sent.push(bytes));
    client.pipe(upstream).pipe(client);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    tunnels,
    sent: () => Buffer.concat(sent).toString('latin1'),
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
