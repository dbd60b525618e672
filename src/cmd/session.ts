/** What a command works with: a client, of a daemon or of a controller opened for the one command. */
import type { Client } from '../client/client.ts';
import type { Output } from './output.ts';

/** The options that every command takes. */
export interface GlobalOptions {
  readonly host?: string;
  readonly dataDir?: string;
  readonly runDir?: string;
  readonly instance?: string;
  readonly fake?: boolean;
  readonly tlscacert?: string;
  readonly tlscert?: string;
  readonly tlskey?: string;
}

export const DEFAULT_HOST = 'unix:///run/dnet.sock';

/** Runs a command's work and closes what was opened for it. */
export async function withClient<T>(
  options: GlobalOptions,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = await open(options);
  try {
    return await work(client);
  } finally {
    await client.close();
  }
}

async function open(options: GlobalOptions): Promise<Client> {
  const [{ Client }, transport] = await Promise.all([import('../client/client.ts'), transportOf(options)]);
  return new Client(transport);
}

async function transportOf(options: GlobalOptions) {
  if (options.dataDir !== undefined || options.fake) {
    const { inProcess } = await import('./inprocess.ts');
    return inProcess(options);
  }
  const { connectTo } = await import('../client/transport.ts');
  const host = options.host ?? process.env.DNET_HOST ?? DEFAULT_HOST;
  return connectTo(host, host.startsWith('tcp:') ? await readCertificates(options) : undefined);
}

async function readCertificates({ tlscacert, tlscert, tlskey }: GlobalOptions) {
  const { readFile } = await import('node:fs/promises');
  const { LibnetworkError } = await import('../errors.ts');
  const read = async (flag: string, path: string | undefined): Promise<string> => {
    if (path === undefined)
      throw new LibnetworkError('INVALID_ARGUMENT', `${flag}: must be given with a tcp host`, {
        field: flag,
      });
    return readFile(path, 'utf8').catch((cause: unknown) => {
      throw new LibnetworkError('NOT_FOUND', `${flag}: ${path} can't be read`, { field: flag, cause });
    });
  };
  const env = process.env;
  const [ca, cert, key] = await Promise.all([
    read('--tlscacert', tlscacert ?? env.DNET_TLS_CA_CERT),
    read('--tlscert', tlscert ?? env.DNET_TLS_CERT),
    read('--tlskey', tlskey ?? env.DNET_TLS_KEY),
  ]);
  return { ca, cert, key };
}

const SLOW_MS = 400;

/** On a terminal, says what is being done when it takes its time. */
export async function withProgress<T>(output: Output, what: string, work: Promise<T>): Promise<T> {
  const { stderr } = process;
  if (stderr.isTTY !== true) return work;
  const timer = setTimeout(() => output.note(`… ${what}`), SLOW_MS);
  try {
    return await work;
  } finally {
    clearTimeout(timer);
  }
}
