import { adminRoutes } from '@skein/protocol';

/** Longest time for whatever listens on a port to say what it is, in milliseconds. */
const askMs = 300;

/** Describes what listens on a port that we can't have, and how to get the port or another one. */
export async function explainTakenPort(
  { host, port }: { readonly host: string; readonly port: number },
  platform: NodeJS.Platform = process.platform,
): Promise<string> {
  const where = `${host}:${port}`;
  const otherwise = 'or choose another port with --port (0 takes a free one)';
  if (await isSkein(where)) {
    return `another Skein listens on ${where}; stop it with \`skein stop\`, with the --data directory that it runs in, ${otherwise}`;
  }
  return `another program listens on ${where}; find it with \`${finder(port, platform)}\` and stop it, ${otherwise}`;
}

async function isSkein(where: string): Promise<boolean> {
  try {
    const { path } = adminRoutes.status;
    const answer = await fetch(`http://${where}${path}`, { signal: AbortSignal.timeout(askMs), redirect: 'error' });
    await answer.body?.cancel();
    return answer.ok && answer.headers.get('content-type')?.startsWith('application/json') === true;
  } catch {
    return false;
  }
}

/** Returns the system's command that shows which process listens on a port. */
function finder(port: number, platform: NodeJS.Platform): string {
  if (platform === 'win32') return `netstat -ano | findstr :${port}`;
  return platform === 'darwin' ? `lsof -nP -iTCP:${port} -sTCP:LISTEN` : `ss -ltnp sport = :${port}`;
}
