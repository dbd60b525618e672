/** Plugins over TCP with TLS, as a `.json` spec names them: each side proves to the other who it is. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { type Certificates, makeCertificates } from '../../support/certificates.ts';
import { handshake, RecordingPlugin } from '../../support/recordingplugin.ts';
import { refusal, setUp } from '../core/setting.ts';

const hasOpenssl = (() => {
  try {
    execFileSync('openssl', ['version'], { stdio: 'ignore' });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
})();

describe.skipIf(!hasOpenssl)(`a plugin behind TLS ${hasOpenssl ? '' : '(needs the program openssl)'}`, () => {
  let own: Certificates;
  let foreign: Certificates;
  const servers: Server[] = [];
  /** Gives a directory for specs, and removes it. */
  const places: RecordingPlugin[] = [];

  beforeAll(async () => {
    [own, foreign] = [await makeCertificates(), await makeCertificates()];
  });
  afterEach(async () => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
    for (const place of places.splice(0)) await place.stop();
  });
  afterAll(async () => {
    await own.remove();
    await foreign.remove();
  });

  /** A plugin that lets in only whom its authority knows, named by a spec; the methods that it was asked. */
  async function served(client: {
    readonly CAFile: string;
    readonly CertFile?: string;
    readonly KeyFile?: string;
  }) {
    const asked: string[] = [];
    const server = createServer(
      {
        key: readFileSync(own.key),
        cert: readFileSync(own.cert),
        ca: readFileSync(own.ca),
        requestCert: true,
      },
      (request, response) => {
        const method = (request.url ?? '').slice(1);
        asked.push(method);
        request.resume().on('end', () => response.end(JSON.stringify(handshake[method] ?? {})));
      },
    );
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const place = new RecordingPlugin(() => undefined);
    places.push(place);
    const { port } = server.address() as AddressInfo;
    const spec = {
      Name: 'far',
      Addr: `https://127.0.0.1:${port}`,
      TLSConfig: { InsecureSkipVerify: false, ...client },
    };
    writeFileSync(join(place.directory, 'far.json'), JSON.stringify(spec));
    const { controller } = await setUp({
      plugins: { ...place.options, retryBudgetMs: 0, timeoutMs: 10_000 },
    });
    return { asked, made: controller.createNetwork({ name: 'n', driver: 'far' }) };
  }

  it('is used by a controller that it knows, and that knows it', async () => {
    const { asked, made } = await served({ CAFile: own.ca, CertFile: own.cert, KeyFile: own.key });
    expect((await made).driver).toBe('far');
    expect(asked).toContain('NetworkDriver.CreateNetwork');
  });

  it('is not believed when another authority has signed for it', async () => {
    const { asked, made } = await served({ CAFile: foreign.ca, CertFile: own.cert, KeyFile: own.key });
    expect(await refusal(made)).toMatchObject({
      code: 'FORBIDDEN',
      message: expect.stringContaining('TLSConfig') as string,
    });
    expect(asked).toEqual([]);
  });

  it.each(['no certificate', 'a certificate of another authority'])(
    'refuses a controller with %s',
    async (what) => {
      const stranger = what === 'no certificate' ? {} : { CertFile: foreign.cert, KeyFile: foreign.key };
      const { asked, made } = await served({ CAFile: own.ca, ...stranger });
      // By TLS 1.3 the refusal comes when the client is through: as an alert, or as the end of the connection.
      expect(['FORBIDDEN', 'UNAVAILABLE']).toContain((await refusal(made)).code);
      expect(asked).toEqual([]);
    },
  );
});
