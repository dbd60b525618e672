import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { NetworkController } from '../../../src/index.ts';
import { canUseKernel, whyNot, withTestHost } from '../../support/kernel.ts';
import { askFromHere, run, serve } from './setting.ts';

describe.skipIf(!canUseKernel)(`a sandbox whose networks have no IPv4${whyNot && `: ${whyNot}`}`, () => {
  it('finds names, forwards to IPv4 servers of the host, and may have a server of its own at port 53', async () => {
    await withTestHost(async ({ osl, host, directory }) => {
      const hostResolvConf = join(directory, 'resolv.conf');
      await writeFile(hostResolvConf, 'nameserver 127.0.0.53\n');
      const outside = await serve(host, '127.0.0.53', '192.0.2.1', (name) => [
        { type: 'AAAA', name, ttl: 5, data: '2001:db8::1' },
      ]);
      const controller = await NetworkController.open({
        osl,
        runDir: join(directory, 'run'),
        instance: `six-${process.pid}`,
        hostResolvConf,
      });
      const network = await controller.createNetwork({
        name: 'six',
        ipv4: false,
        ipv6: true,
        ipam: { pools: [{ subnet: 'fd00:66::/64' }] },
      });
      const [web, client] = await Promise.all(
        ['web', 'client'].map(async (name) => {
          const sandbox = await controller.createSandbox({ containerId: name });
          await (await network.createEndpoint({ name })).join(sandbox);
          return sandbox;
        }),
      );
      if (web === undefined || client === undefined) throw new Error('both were made');
      const address = network.endpoint('web')?.ipv6?.split('/')[0];
      const inside = await osl.openNamespace(client.namespacePath);
      const own = await serve(inside, '::', '192.0.2.9');
      const resolvConf = join(
        directory,
        'run',
        `six-${process.pid}`,
        'files',
        client.id.slice(0, 12),
        'resolv.conf',
      );
      const script = `mount --bind ${resolvConf} /etc/resolv.conf; getent ahostsv6 web; getent ahostsv6 a.example`;
      const found = await run(inside, 'unshare', ['--mount', 'sh', '-c', script]);
      expect(
        found
          .split('\n')
          .filter((line) => line.includes('STREAM'))
          .map((line) => line.split(/\s+/)[0]),
      ).toEqual([address, '2001:db8::1']);
      for (const transport of ['udp', 'tcp'] as const) {
        expect(await askFromHere(inside, 'web', 'AAAA', transport)).toMatchObject({
          answers: [{ data: address }],
        });
        expect(await askFromHere(inside, 'web', 'A', transport)).toMatchObject({
          rcode: 'NOERROR',
          answers: [],
        });
      }
      expect(outside.asked).toContain('udp AAAA a.example');
      expect(own.asked).toEqual([]);
      for (const server of [own, outside]) server.close();
      await inside.close();
      for (const sandbox of [web, client]) await sandbox.delete();
      await network.delete();
      await controller.close();
    });
  });
});
