import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Client, connectTo } from '../../../src/client/index.ts';
import { hasBrowser, openBrowser, openPage } from '../../support/browser.ts';
import { isBuilt, withDaemon } from '../../support/dnet.ts';
import { canUseKernel } from '../../support/kernel.ts';
import { container, network, tile, urlOf, web } from '../../support/webpage.ts';

describe.skipIf(!isBuilt || !hasBrowser || !canUseKernel)(
  'the topology page on the real kernel (after npm run build, with chromium, as root)',
  () => {
    it('shows what a container has sent, its routes, and the rules that are in force', async () => {
      await withDaemon(
        { real: true, flags: ['--no-predefined', '--web', '127.0.0.1:8080'] },
        async (daemon) => {
          const client = new Client(connectTo(daemon.host));
          await network(client, 'front', '10.20.0.0/24');
          await container(client, 'proxy', ['front'], [{ ...web, host: 8081 }]);
          await client.close();
          const { browser, close } = await openBrowser(join(daemon.directory, 'host'));
          try {
            const { page, complaints } = await openPage(browser, urlOf(daemon));
            await tile(page, 'proxy').click();
            const counters = page.locator('#details .stack table').first();
            await counters.waitFor();
            const send = `require('dgram').createSocket('udp4').send(Buffer.alloc(1000), 9, '10.20.0.1', () => process.exit())`;
            const sent = await daemon.dnet('sandbox', 'exec', 'proxy', '--', process.execPath, '-e', send);
            expect(sent.code, sent.stderr).toBe(0);
            // Asked anew while it is looked at: a thousand bytes and more have been sent.
            await counters
              .getByText(/^\d+(\.\d)? kB\s+\d+ packets?$/)
              .last()
              .waitFor();
            const routes = page.locator('#details .stack table').last();
            expect(await routes.innerText()).toMatch(/default\s+10\.20\.0\.1\s+eth0/);
            await page.getByText('From outside to the host, 8081').click();
            await page.getByText(/^Passes, to 10\.20\.0\.2:80/).waitFor();
            expect(complaints).toEqual([]);
          } finally {
            await close();
          }
        },
      );
    });
  },
);
