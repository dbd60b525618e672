import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Client, connectTo } from '../../../src/client/index.ts';

/** A daemon that tells one event and breaks off. */
async function withBreakingDaemon(test: (client: Client) => Promise<void>): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-client-`));
  const server = createServer((_request, answer) => {
    answer.write('{"type":"network:create"}\n', () => answer.destroy());
  });
  const path = join(directory, 's');
  server.listen(path);
  await once(server, 'listening');
  try {
    await test(new Client(connectTo(`unix://${path}`)));
  } finally {
    server.close();
    await rm(directory, { recursive: true, force: true });
  }
}

describe('events', () => {
  it('end with UNAVAILABLE when the daemon breaks off, after those that came', async () => {
    await withBreakingDaemon(async (client) => {
      const told: string[] = [];
      const reading = (async () => {
        for await (const { type } of client.events({})) told.push(type);
      })();
      await expect(reading).rejects.toMatchObject({
        code: 'UNAVAILABLE',
        message: expect.stringContaining('it has broken the connection off'),
      });
      expect(told).toEqual(['network:create']);
    });
  });

  it('end with ABORTED when their reader gives up', async () => {
    await withBreakingDaemon(async (client) => {
      const signal = AbortSignal.abort();
      const reading = client.events({ signal }).next();
      await expect(reading).rejects.toMatchObject({ code: 'ABORTED' });
    });
  });
});
