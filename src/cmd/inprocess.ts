/** The application without a socket, over a controller that is opened for one command (`--data-dir`). */
import { Readable } from 'node:stream';
import { createApi } from '../api/index.ts';
import type { Transport } from '../client/transport.ts';
import { NetworkController } from '../index.ts';
import type { GlobalOptions } from './session.ts';
import { packageVersion } from './version.ts';

type Method = 'GET' | 'POST' | 'PATCH' | 'DELETE';

/** @throws CONFLICT when a daemon has the directory, naming it */
export async function inProcess({ dataDir, runDir, instance, fake }: GlobalOptions): Promise<Transport> {
  const osl = fake ? (await import('../osl/fake/index.ts')).fakeOsl() : undefined;
  const controller = await NetworkController.open({
    dataDir,
    runDir,
    instance,
    osl,
    activeSandboxes: 'all',
  });
  const silent = (): void => {
    // The command tells its failure itself.
  };
  const api = await createApi({
    controller,
    logger: { debug: silent, info: silent, warn: silent, error: silent },
    about: { version: packageVersion(), kernel: fake ? 'fake' : 'linux', startedAt: new Date() },
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
      await controller.close();
    },
  };
}
