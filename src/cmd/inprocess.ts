/** The application without a socket, over a controller that is opened for one command (`--data-dir`). */
import { Readable } from 'node:stream';
import { createApi } from '../api/index.ts';
import type { Transport } from '../client/transport.ts';
import { readConfig } from './daemon/config.ts';
import { openController } from './daemon/controller.ts';
import type { GlobalOptions } from './session.ts';
import { packageVersion } from './version.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/**
 * With the settings that a daemon would have, but for the networks that a daemon makes by itself.
 * @throws CONFLICT when a daemon has the directory, naming it; INVALID_ARGUMENT naming the setting
 */
export async function inProcess({ dataDir, runDir, instance, fake }: GlobalOptions): Promise<Transport> {
  const config = readConfig({ dataDir, runDir, instance, fake }, process.env, undefined);
  const silent = (): void => {
    // The command tells its failure itself.
  };
  const logger = { debug: silent, info: silent, warn: silent, error: silent };
  const { controller, close } = await openController(config, logger, {
    // On the fake kernel alone nothing is kept, unless a place is told.
    dataDir: dataDir ?? (config.fake ? undefined : config.dataDir),
  });
  const api = await createApi({
    controller,
    logger,
    about: { version: packageVersion(), kernel: config.fake ? 'fake' : 'linux', startedAt: new Date() },
  });
  const ask = async (method: string, url: string, body?: unknown) => {
    const payload = body === undefined ? {} : { payload: body as object };
    const answer = await api.app.inject({ method: method as Method, url, ...payload });
    return { status: answer.statusCode, text: answer.payload };
  };
  return {
    ask,
    // Nothing else happens in this process: what there is to tell is told at once.
    follow: async (path) => {
      const { text } = await ask('GET', path.replace('follow=true', 'follow=false'));
      return Readable.from([Buffer.from(text)]);
    },
    close: async () => {
      await api.close();
      await close();
    },
  };
}
