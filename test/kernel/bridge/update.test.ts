import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import { labels } from '../../../src/labels.ts';
import type { Namespace } from '../../../src/osl/osl.ts';
import { canUseKernel, type TestHost, whyNot, withTestHost } from '../../support/kernel.ts';
import { ask, greet, isClosed, neighbour } from '../../unit/drivers/setting.ts';

/** Says everything back. */
const echo = (namespace: Namespace, port: number) =>
  namespace.listenTcp('0.0.0.0', port, (stream) => {
    stream.on('error', () => stream.destroy());
    stream.pipe(stream);
  });

async function says(stream: Duplex, text: string): Promise<string> {
  stream.write(text);
  const [answer] = (await once(stream, 'data', { signal: AbortSignal.timeout(5_000) })) as [Buffer];
  return String(answer);
}

async function tearDown(controller: NetworkController): Promise<void> {
  for (const id of ['c1', 'c2']) await controller.sandbox(id)?.delete();
  await controller.close();
}

async function setUp({ osl, path, directory }: TestHost) {
  const outside = await neighbour(osl, path('neighbour'));
  const controller = await NetworkController.open({ osl, runDir: directory, instance: `t${process.pid}` });
  const network = await controller.createNetwork({ name: 'front' });
  const endpoint = await network.createEndpoint({
    name: 'web',
    ports: [
      { protocol: 'tcp', container: 80, host: 8080 },
      { protocol: 'tcp', container: 81, host: 8081 },
    ],
  });
  const sandbox = await controller.createSandbox({ containerId: 'c1' });
  await endpoint.join(sandbox);
  const web = await osl.openNamespace(sandbox.namespacePath ?? '');
  await echo(web, 80);
  for (const port of [81, 82]) await greet(web, '0.0.0.0', port, `web ${port}`);
  return { controller, network, endpoint, sandbox, web, outside };
}

describe.skipIf(!canUseKernel)(`an update in place on the real kernel ${whyNot}`, () => {
  it('of published ports leaves a connection by a port that stays alone', async () => {
    await withTestHost(async (test) => {
      const { controller, endpoint, outside } = await setUp(test);
      const stream = await outside.connectTcp('192.0.2.1', 8080);
      expect(await says(stream, 'before')).toBe('before');
      await endpoint.update({
        ports: [
          { protocol: 'tcp', container: 80, host: 8080 },
          { protocol: 'tcp', container: 82, host: 8082 },
        ],
      });
      expect(await says(stream, 'after')).toBe('after');
      stream.destroy();
      expect(await isClosed(outside, '192.0.2.1', 8081)).toBe(true);
      expect(await ask(outside, '192.0.2.1', 8082)).toBe('web 82');
      await tearDown(controller);
    });
  });

  it('gives an endpoint that had no ports one that it reaches itself', async () => {
    await withTestHost(async (test) => {
      const { controller, network } = await setUp(test);
      const endpoint = await network.createEndpoint({ name: 'late' });
      const sandbox = await controller.createSandbox({ containerId: 'c2' });
      await endpoint.join(sandbox);
      const late = await test.osl.openNamespace(sandbox.namespacePath ?? '');
      await greet(late, '0.0.0.0', 80, 'late');
      await endpoint.update({ ports: [{ protocol: 'tcp', container: 80, host: 9090 }] });
      expect(await ask(late, '192.0.2.1', 9090)).toBe('late');
      await tearDown(controller);
    });
  });

  it('of a network keeps its containers apart from then on, and what they have begun alive', async () => {
    await withTestHost(async (test) => {
      const { controller, network, endpoint, outside } = await setUp(test);
      const other = await network.createEndpoint({ name: 'other' });
      const sandbox = await controller.createSandbox({ containerId: 'c2' });
      await other.join(sandbox);
      const from = await test.osl.openNamespace(sandbox.namespacePath ?? '');
      const address = endpoint.ipv4?.split('/')[0] ?? '';
      const outer = await outside.connectTcp('192.0.2.1', 8080);
      const inner = await from.connectTcp(address, 80);
      expect(await says(inner, 'before')).toBe('before');
      await network.update({ options: { [labels.bridge.enableIcc]: false } });
      expect(await isClosed(from, address, 81)).toBe(true);
      expect(await says(inner, 'after')).toBe('after');
      expect(await says(outer, 'after')).toBe('after');
      for (const stream of [inner, outer]) stream.destroy();
      await tearDown(controller);
    });
  });
});
