import { execFile } from 'node:child_process';
import { resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import type { Namespace } from '../../../src/osl/osl.ts';
import { compile } from '../../support/compile.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';

const run = promisify(execFile);
const front = { protocol: 'tcp', address: '::1', port: 8080 } as const;
const target = { address: '127.0.0.1', port: 80 };

describe.skipIf(!canUseKernel)(`served ports ${whyNot}`, () => {
  it('are served while the main thread is blocked, outlive their thread, and are free when released', {
    timeout: 120_000,
  }, async () => {
    const compiled = await compile('src/osl/linux/index.ts', 'src/osl/linux/relay/main.ts');
    try {
      await withTestHost(async ({ host }) => {
        const script = resolve('test/kernel/osl/relay.mjs');
        const { stdout } = await run(process.execPath, [script, compiled.directory, host.path]);
        expect(JSON.parse(stdout)).toEqual({
          whileBlocked: ['by tcp', 'by udp'],
          heldBetween: 'EADDRINUSE',
          early: 'early',
          endOfTheFirst: '',
          threads: 2,
          warnings: ['the thread that serves ports has ended, and is started again'],
          afterwards: ['by tcp', 'by udp'],
          freeAgain: [8080, 8080],
          descriptorsLeft: 0,
        });
      });
    } finally {
      await compiled.remove();
    }
  });

  it('take no more from one side than the other reads', async () => {
    await withTestHost(async ({ host }) => {
      // Nobody reads what comes.
      const taken: Duplex[] = [];
      await host.listenTcp('127.0.0.1', 80, (stream) => taken.push(stream.pause()));
      const served = await host.servePort(front, target);
      const client = await host.connectTcp('::1', 8080);
      client.on('error', () => client.destroy());
      const sent = await sendUntilStalled(client);
      expect(sent).toBeLessThan(64 << 20);
      client.destroy();
      served.release();
    });
  });

  it('close what is beyond their limits, and what is silent for too long', async () => {
    await withTestHost(async ({ host }) => {
      await host.listenTcp('127.0.0.1', 80, (stream) => stream.pipe(stream));
      const served = await host.servePort(front, { ...target, limits: { connections: 1, idleMs: 1_500 } });
      const first = await host.connectTcp('::1', 8080);
      first.on('error', () => undefined);
      first.write('hello');
      expect(await nextData(first)).toBe('hello');
      expect(await isClosedAtOnce(host)).toBe(true);
      await new Promise((end) => first.once('end', end).resume());
      await expect.poll(() => isClosedAtOnce(host)).toBe(false);
      served.release();
    });
  });

  it('are refused for sctp, which can only be led by rules', async () => {
    await withTestHost(async ({ host }) => {
      const refused = host.servePort({ ...front, protocol: 'sctp' }, target);
      await expect(refused).rejects.toMatchObject({ code: 'NOT_IMPLEMENTED' });
    });
  });
});

/** Writes until the other side takes no more for a while: how many bytes went. */
async function sendUntilStalled(stream: Duplex): Promise<number> {
  const part = Buffer.alloc(1 << 20);
  for (let sent = 0; sent < 256; sent++) {
    if (stream.write(part)) continue;
    const drained = new Promise((resolve) => stream.once('drain', () => resolve(true)));
    const stalled = new Promise((resolve) => setTimeout(resolve, 1_000, false));
    if (!(await Promise.race([drained, stalled]))) return sent << 20;
  }
  return 256 << 20;
}

function nextData(stream: Duplex): Promise<string> {
  return new Promise((resolve) => stream.once('data', (data: Buffer) => resolve(String(data))));
}

async function isClosedAtOnce(host: Namespace): Promise<boolean> {
  const stream = await host.connectTcp('::1', 8080);
  stream.on('error', () => undefined);
  stream.write('hello');
  const closed = new Promise<boolean>((resolve) => {
    for (const event of ['end', 'close']) stream.once(event, () => resolve(true));
  });
  const answered = nextData(stream).then(() => false);
  const outcome = await Promise.race([closed, answered]);
  stream.destroy();
  return outcome;
}
