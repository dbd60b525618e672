import { closeSync, openSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import type { Firewall, ResolverIntent } from '../../../src/osl/firewall/firewall.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { ENGINES, type Engine, openFirewall, whyNotEngine } from './support.ts';
import { nextLine } from './world.ts';

/** Answers every datagram and greets every connection with its name. */
async function serve(place: Namespace, name: string, address: string, port: number) {
  const udp = await place.bindUdp(address, port);
  udp.onMessage((_, from) => udp.send(Buffer.from(name), from));
  const tcp = await place.listenTcp(address, port, (stream) => stream.end(`${name}\n`));
  const close = () => {
    udp.close();
    tcp.close();
  };
  return { udpPort: udp.port, tcpPort: tcp.port, close };
}

/** Who answers a datagram, and from which address and port the answer comes. */
async function askUdp(place: Namespace, address: string, port: number) {
  const socket = await place.bindUdp(address.includes(':') ? '::' : '0.0.0.0', 0);
  try {
    return await new Promise((resolve) => {
      socket.onMessage((data, from) =>
        resolve({ name: data.toString(), address: from.address, port: from.port }),
      );
      socket.send(Buffer.from('?'), { address, port });
    });
  } finally {
    socket.close();
  }
}

async function askTcp(place: Namespace, address: string, port: number): Promise<string> {
  const stream = await place.connectTcp(address, port);
  const line = await nextLine(stream);
  stream.destroy();
  return line;
}

async function withResolverOf(
  engine: Engine,
  address: string,
  work: (sandbox: Namespace, firewall: Firewall) => Promise<void>,
) {
  await withTestHost(async (test) => {
    const sandbox = await test.create('sandbox');
    const fd = openSync(sandbox.path, 'r');
    const firewall = await openFirewall(fd, engine);
    const server = await serve(sandbox, 'resolver', address, 0);
    const { udpPort, tcpPort } = server;
    const intent: ResolverIntent = { kind: 'resolver', id: 's', address, udpPort, tcpPort };
    try {
      await firewall.apply([{ set: intent }]);
      await work(sandbox, firewall);
    } finally {
      server.close();
      await firewall.close();
      closeSync(fd);
    }
  });
}

describe.each(ENGINES)('DNS in a sandbox with the engine %s', (engine) => {
  const why = whyNot || whyNotEngine(engine);
  describe.skipIf(!canUseKernel || why !== '')(why ? `(skipped: ${why})` : 'in the kernel', () =>
    dnsPromises(engine),
  );
});

function dnsPromises(engine: Engine): void {
  const withResolver = (address: string, work: (sandbox: Namespace, firewall: Firewall) => Promise<void>) =>
    withResolverOf(engine, address, work);

  it.each(['127.0.0.11', '::1'])(
    'to %s goes to the resolver, and the answer comes as from port 53',
    async (address) => {
      await withResolver(address, async (sandbox) => {
        expect(await askUdp(sandbox, address, 53)).toEqual({ name: 'resolver', address, port: 53 });
        expect(await askTcp(sandbox, address, 53)).toBe('resolver');
      });
    },
  );

  it('goes to the resolver also when the container runs a server on port 53, which keeps its own address', async () => {
    await withResolver('127.0.0.11', async (sandbox) => {
      const own = await serve(sandbox, 'own', '0.0.0.0', 53);
      expect(await askUdp(sandbox, '127.0.0.11', 53)).toMatchObject({ name: 'resolver', port: 53 });
      expect(await askTcp(sandbox, '127.0.0.11', 53)).toBe('resolver');
      expect(await askUdp(sandbox, '127.0.0.1', 53)).toMatchObject({ name: 'own', port: 53 });
      expect(await askTcp(sandbox, '127.0.0.1', 53)).toBe('own');
      own.close();
    });
  });

  it('moves with the resolver to other ports', async () => {
    await withResolver('127.0.0.11', async (sandbox, firewall) => {
      const next = await serve(sandbox, 'next', '127.0.0.11', 0);
      const { udpPort, tcpPort } = next;
      await firewall.apply([{ set: { kind: 'resolver', id: 's', address: '127.0.0.11', udpPort, tcpPort } }]);
      expect(await askUdp(sandbox, '127.0.0.11', 53)).toMatchObject({ name: 'next', port: 53 });
      expect(await askTcp(sandbox, '127.0.0.11', 53)).toBe('next');
      next.close();
    });
  });

  it('is no longer translated when the resolver is gone', async () => {
    await withResolver('127.0.0.11', async (sandbox, firewall) => {
      await firewall.apply([{ remove: { kind: 'resolver', id: 's' } }]);
      await expect(askTcp(sandbox, '127.0.0.11', 53)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    });
  });
}
