// Where the server listens: who may reach it, whether the place is free, and what to say when it is not.
import { createServer } from 'node:net';
import { ConfigError, type ServeConfig } from '../config.ts';

const isLoopback = (host: string): boolean => host === 'localhost' || host === '::1' || /^127(\.\d{1,3}){3}$/.test(host);

/** Anybody who can reach the port can use the model, so others get in with a key only. */
export function checkExposure({ host, apiKey }: Pick<ServeConfig, 'host' | 'apiKey'>): void {
  if (isLoopback(host) || apiKey.length > 0) return;
  throw new ConfigError(
    `--host ${host} lets other machines in, so an API key is needed: add --api-key KEY (or GATTLING_API_KEY), or listen on --host 127.0.0.1.`,
  );
}

export function listenError(error: NodeJS.ErrnoException, host: string, port: number): Error {
  if (error.code === 'EADDRINUSE')
    return new ConfigError(`Port ${port} of ${host} is in use; choose another with --port, or --port 0 for any free one.`);
  if (error.code === 'EACCES')
    return new ConfigError(`Port ${port} needs more rights than this user has; choose one above 1023 with --port.`);
  if (error.code === 'EADDRNOTAVAIL' || error.code === 'ENOTFOUND' || error.code === 'EAI_AGAIN') {
    return new ConfigError(`--host ${host} is no address of this machine; try 127.0.0.1, or 0.0.0.0 for all of its addresses.`);
  }
  return error;
}

/** Loading may take minutes: a port that is taken is told before. */
export async function probe(host: string, port: number): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const server = createServer();
    server.once('error', (error) => reject(listenError(error, host, port)));
    server.listen({ host, port }, () => server.close(() => resolve()));
  });
}
