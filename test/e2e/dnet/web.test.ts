/** The topology page, in a real browser, of a real daemon. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { Page } from 'playwright-core';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { Client, connectTo } from '../../../src/client/index.ts';
import { type Box, overlap } from '../../../src/page/geometry.ts';
import { hasBrowser, type OpenBrowser, openBrowser, openPage } from '../../support/browser.ts';
import { freePorts } from '../../support/daemon.ts';
import { type Daemon, isBuilt, program, run, withDaemon } from '../../support/dnet.ts';
import { card, container, network, tile, urlOf, web } from '../../support/webpage.ts';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

interface Stage {
  readonly daemon: Daemon;
  readonly client: Client;
  readonly url: string;
}

async function onStage(flags: readonly string[], act: (stage: Stage) => Promise<void>): Promise<void> {
  await withDaemon({ flags: ['--no-predefined', ...flags] }, async (daemon) => {
    const client = new Client(connectTo(daemon.host));
    try {
      await act({ daemon, client, url: urlOf(daemon) });
    } finally {
      await client.close();
    }
  });
}

const anyPort = ['--web', '127.0.0.1:0'];

/** Three networks' worth of everything that is drawn. */
async function smallWorld(client: Client): Promise<void> {
  await network(client, 'front', '10.20.0.0/24');
  await network(client, 'back', '10.21.0.0/24', true);
  await network(client, 'spare', '10.22.0.0/24');
  await container(client, 'proxy', ['front'], [web]);
  await container(client, 'api', ['front', 'back']);
  await container(client, 'db', ['back']);
  await client.createEndpoint('back', { name: 'next' });
  await client.createSandbox({ containerId: 'lonely' });
}

/** Scripts of ours run by the driver, in words of the page's world: these tests are compiled without it. */
const inPage = <T>(page: Page, script: string): Promise<T> => page.evaluate<T>(script);

async function axeViolations(page: Page): Promise<unknown> {
  await inPage(page, axe);
  return inPage(
    page,
    'axe.run().then(({ violations }) => violations.map(({ id, nodes }) => ({ id, at: nodes.map(({ html }) => html) })))',
  );
}

describe.skipIf(!isBuilt || !hasBrowser)('the topology page (after npm run build, with chromium)', () => {
  let opened: OpenBrowser;
  beforeAll(async () => {
    opened = await openBrowser();
  });
  // A page that nobody looks at any more asks nobody any more.
  afterEach(async () => {
    for (const context of opened.browser.contexts()) await context.close();
  });
  afterAll(() => opened.close());

  it('shows a network, a container and a port as they come and go, without being loaded anew', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      const { page, complaints, origins } = await openPage(opened.browser, url);
      await page.getByText('There is no network yet.').waitFor();
      await page
        .getByRole('status')
        .filter({ hasText: /^Live$/ })
        .waitFor();
      const stays = await inPage<number>(page, 'performance.timeOrigin');
      await network(client, 'front', '10.20.0.0/24');
      await card(page, 'front').waitFor();
      await container(client, 'proxy', ['front'], [web]);
      await tile(page, 'proxy').waitFor();
      await page.getByRole('button', { name: /Port of front: 8080.*leads to port 80/ }).waitFor();
      await page.getByRole('button', { name: /Way out of front: NAT/ }).waitFor();
      await page.locator('#timeline li', { hasText: 'proxy joined front as eth0' }).waitFor();
      await client.deleteSandbox('proxy');
      await tile(page, 'proxy').waitFor({ state: 'detached' });
      await page.locator('#timeline li', { hasText: 'proxy left front' }).waitFor();
      expect(await inPage<number>(page, 'performance.timeOrigin')).toBe(stays);
      expect(complaints).toEqual([]);
      expect([...origins]).toEqual([new URL(url).origin]);
    });
  });

  it('tells addresses, routes, counters and the rules that a packet meets of what is clicked', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await smallWorld(client);
      const { page, complaints } = await openPage(opened.browser, url);
      await tile(page, 'api').click();
      const details = page.locator('#details');
      await details.getByRole('heading', { name: 'api', exact: true }).waitFor();
      for (const text of ['10.20.0.3/24', '10.21.0.2/24', 'eth0', 'eth1', 'default', '10.20.0.1'])
        await details.getByText(text, { exact: true }).first().waitFor();
      expect(await details.locator('.stack table').first().innerText()).toMatch(
        /Interface\s+Received\s+Sent/,
      );
      await tile(page, 'proxy').click();
      await details.getByText('From outside to the host, 8080').click();
      await details.getByText(/^Passes, to 10\.20\.0\.2:80/).waitFor();
      expect(await details.locator('code').first().innerText()).toContain('dnat');
      await card(page, 'back').click();
      await details.getByText('no way out').waitFor();
      await details.getByRole('button', { name: 'db' }).click();
      await details.getByRole('heading', { name: 'db' }).waitFor();
      expect(await tile(page, 'db').getAttribute('aria-current')).toBe('true');
      expect(complaints).toEqual([]);
    });
  });

  // As when an address of the host changes while it loads: the browser gives up whatever it waits for.
  it.each(['/dom/main.js', '/words.js', '/drawing.css'])(
    'is whole also when the browser gives up %s at first',
    async (part) => {
      await onStage(anyPort, async ({ client, url }) => {
        await network(client, 'front', '10.20.0.0/24');
        const context = await opened.browser.newContext();
        const page = await context.newPage();
        const asked: string[] = [];
        await page.route(`**${part}`, async (route) => {
          asked.push(route.request().url());
          await (asked.length === 1 ? route.abort('failed') : route.continue());
        });
        await page.goto(url);
        await expect.poll(() => asked.length).toBeGreaterThan(1);
        await card(page, 'front').waitFor();
      });
    },
  );

  it('shows markup in labels as text', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      const markup = '<img src="/none" onerror="alert(1)"><b>bold</b>';
      await client.createNetwork({ name: 'front', labels: { [markup]: markup } });
      const { page, complaints } = await openPage(opened.browser, url);
      await card(page, 'front').click();
      const told = page.locator('#details dt, #details dd').filter({ hasText: markup });
      await expect.poll(() => told.count()).toBe(2);
      expect(await told.locator('*').count()).toBe(0);
      expect(complaints).toEqual([]);
    });
  });

  it('works by the keyboard alone', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await smallWorld(client);
      const { page } = await openPage(opened.browser, url);
      await tile(page, 'api').waitFor();
      const focused = () => inPage<string>(page, 'document.activeElement.textContent');
      await page.keyboard.press('/');
      await page.locator('#search:focus').waitFor();
      for (let stops = 0; (await page.locator('[data-key]:focus').count()) === 0; stops += 1) {
        expect(stops).toBeLessThan(10);
        await page.keyboard.press('Tab');
      }
      const seen: string[] = [];
      for (const key of [
        'Home',
        'ArrowDown',
        'ArrowLeft',
        'ArrowDown',
        'ArrowRight',
        'ArrowRight',
        'ArrowRight',
      ]) {
        await page.keyboard.press(key);
        seen.push(await focused());
      }
      expect(seen).toEqual([
        expect.stringMatching(/^Host .+this host/),
        expect.stringMatching(
          /^Network front ?bridge ?10\.20\.0\.0\/24 ?2 endpoints, way out: behind an address/,
        ),
        expect.stringMatching(/^Way out of front: NAT, behind an address of the host/),
        expect.stringMatching(
          /^Port of front: 8080, tcp port 8080 of every address of the host leads to port 80$/,
        ),
        expect.stringMatching(/^Network front/),
        expect.stringMatching(/^Container api ?eth0 10\.20\.0\.3 in front ?eth1 10\.21\.0\.2 in back$/),
        expect.stringMatching(/^Container proxy ?:8080 ?eth0 10\.20\.0\.2 in front$/),
      ]);
      const before = await focused();
      await page.keyboard.press('Enter');
      await page.locator('#details h2:focus').waitFor();
      await page.keyboard.press('Escape');
      await page.locator('#details').waitFor({ state: 'hidden' });
      expect(await focused()).toBe(before);
      expect(await page.locator('.drawing [data-key][tabindex="0"]').count()).toBe(1);
    });
  });

  it('folds the containers of a network away, by its mark and from its details, and draws others larger or smaller', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await smallWorld(client);
      const { page, complaints } = await openPage(opened.browser, url);
      await tile(page, 'db').waitFor();
      await page.getByRole('button', { name: 'Containers of back', expanded: true }).click();
      await tile(page, 'db').waitFor({ state: 'detached' });
      await tile(page, 'api').waitFor();
      await card(page, 'back').click();
      await page.getByRole('button', { name: 'Show its containers in the drawing' }).click();
      await tile(page, 'db').waitFor();
      const width = async () => (await tile(page, 'db').boundingBox())?.width ?? 0;
      const large = await width();
      await page.locator('#level').selectOption('dots');
      await expect.poll(width).toBeLessThan(large / 4);
      await tile(page, 'db').hover();
      await page.locator('.hint', { hasText: 'db' }).waitFor();
      expect(complaints).toEqual([]);
    });
  });

  it('is drawn larger and smaller, and moved as a whole, by the keyboard and by the pointer', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await smallWorld(client);
      const { page, complaints } = await openPage(opened.browser, url);
      await tile(page, 'api').click();
      const height = async () => (await tile(page, 'api').boundingBox())?.height ?? 0;
      const own = await height();
      for (const step of [125, 150, 200, 300, 300]) {
        await page.keyboard.press('+');
        await page.getByRole('button', { name: `${step} %` }).waitFor();
      }
      await expect.poll(height).toBeCloseTo(own * 3, 0);
      // Things glide to their new places.
      await expect.poll(() => overlaps(page)).toEqual([]);
      const scrolled = () => inPage<number[]>(page, '[stage.scrollLeft, stage.scrollTop]');
      await inPage(page, 'stage.scrollTo(0, 0)');
      await tile(page, 'api').focus();
      await inPage(page, 'stage.scrollTo(0, 0)');
      await page.keyboard.press('Shift+ArrowDown');
      await page.keyboard.press('Shift+ArrowDown');
      await page.keyboard.press('Shift+ArrowRight');
      await expect.poll(scrolled).toEqual([80, 160]);
      await page.mouse.move(30, 400);
      await page.mouse.down();
      await page.mouse.move(110, 500, { steps: 4 });
      await page.mouse.up();
      await expect.poll(scrolled).toEqual([0, 60]);
      await page.mouse.move(300, 300);
      await expect.poll(scrolled).toEqual([0, 60]);
      await page.keyboard.press('0');
      await expect.poll(height).toBeCloseTo(own, 0);
      await page.getByRole('button', { name: 'Smaller' }).click();
      await expect.poll(height).toBeCloseTo(own * 0.8, 0);
      expect(complaints).toEqual([]);
    });
  });

  it('tells services: their addresses, who is in them, and who is drained', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await network(client, 'front', '10.20.0.0/24');
      for (const name of ['web-1', 'web-2']) {
        await client.createSandbox({ containerId: name });
        await client.createEndpoint('front', { name, service: { name: 'web' } });
        await client.join('front', name, { sandbox: name });
      }
      const { page, complaints } = await openPage(opened.browser, url);
      await card(page, 'front').getByText('2 endpoints · 1 service').waitFor();
      await card(page, 'front').click();
      const details = page.locator('#details');
      const address = /10\.20\.0\.\d+/;
      await details.getByText(new RegExp(`^${address.source}, 2 endpoints$`)).waitFor();
      await client.updateEndpoint('front', 'web-1', { service: { enabled: false } });
      await details.getByText(new RegExp(`^${address.source}, 1 of 2 endpoints live$`)).waitFor();
      await tile(page, 'web-1').click();
      await details.getByText(new RegExp(`^web, ${address.source}, drained$`)).waitFor();
      expect(complaints).toEqual([]);
    });
  });

  it('has no fault that axe finds, in light and dark, drawn and as a table', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      await smallWorld(client);
      for (const colorScheme of ['light', 'dark'] as const) {
        const { page } = await openPage(opened.browser, url, { colorScheme, reducedMotion: 'reduce' });
        await tile(page, 'proxy').click();
        await page.locator('#details .stack table').first().waitFor();
        await page.getByText('From outside to the host, 8080').click();
        await page.locator('.verdict').waitFor();
        expect(await axeViolations(page), colorScheme).toEqual([]);
        await page.getByText('Table', { exact: true }).click();
        await page.getByRole('row', { name: /proxy.*front.*10\.20\.0\.2\/24.*8080 → 80/ }).waitFor();
        expect(await axeViolations(page), `${colorScheme}, table`).toEqual([]);
      }
    });
  });

  it('is light or dark as the system is, and as was chosen after that', async () => {
    await onStage(anyPort, async ({ url }) => {
      const { page } = await openPage(opened.browser, url, { colorScheme: 'dark' });
      await page.locator('body[data-ready]').waitFor();
      const ground = () => inPage<string>(page, 'getComputedStyle(document.documentElement).backgroundColor');
      const dark = await ground();
      await page.emulateMedia({ colorScheme: 'light' });
      const light = await ground();
      expect(light).not.toBe(dark);
      await page.getByLabel('Theme').selectOption('dark');
      expect(await ground()).toBe(dark);
      await page.reload();
      await page.locator('body[data-ready]').waitFor();
      expect(await ground()).toBe(dark);
    });
  });

  it('says when the daemon is gone, and goes on when it is back', async () => {
    const [port = 0] = await freePorts(1);
    await onStage(['--web', `127.0.0.1:${port}`], async ({ daemon, client, url }) => {
      await network(client, 'front', '10.20.0.0/24');
      const { page } = await openPage(opened.browser, url);
      await card(page, 'front').waitFor();
      await daemon.kill();
      await page.getByText(/^Not connected since/).waitFor();
      expect(await card(page, 'front').count()).toBe(1);
      await daemon.restart();
      await page
        .getByRole('status')
        .filter({ hasText: /^Live$/ })
        .waitFor();
      await network(client, 'later', '10.23.0.0/24');
      await card(page, 'later').waitFor();
    });
  });

  it('draws 500 endpoints one beside the other, finds one of them, and shows one more', async () => {
    await onStage(anyPort, async ({ client, url }) => {
      for (let each = 0; each < 5; each += 1) {
        await network(client, `net-${each}`, `10.${30 + each}.0.0/16`);
        for (let start = 0; start < 100; start += 10)
          await Promise.all(
            Array.from({ length: 10 }, (_, index) =>
              container(client, `c-${each}-${start + index}`, [`net-${each}`]),
            ),
          );
      }
      const { page, complaints } = await openPage(opened.browser, url);
      await expect.poll(() => page.locator('.tiles [data-key]').count()).toBe(500);
      expect(await overlaps(page)).toEqual([]);
      expect(await inPage<number>(page, 'stage.scrollTop')).toBe(0);
      await container(client, 'newcomer', ['net-2']);
      await tile(page, 'newcomer').waitFor({ state: 'attached' });
      await page.getByRole('searchbox').fill('c-3-99');
      await expect.poll(() => page.locator('.tiles [data-key]').count()).toBe(1);
      await page.getByText('1 of 501 containers').waitFor();
      await tile(page, 'c-3-99').getByText('eth0 10.33.').waitFor();
      expect(complaints).toEqual([]);
    });
  });
});

describe.skipIf(!isBuilt)('the address of the page (after npm run build)', () => {
  const start = (...flags: string[]) => run(process.execPath, [program, 'daemon', '--fake', ...flags]);

  it.each(['0.0.0.0:8080', '192.0.2.1:8080', 'host.example:80', '[2001:db8::1]:80'])(
    'is one of the loopback unless told: %s is refused',
    async (address) => {
      const { code, stderr } = await start('--web', address);
      expect(stderr).toContain(`others reach ${address}`);
      expect(stderr).toContain('--web-exposed');
      expect(code).toBe(2);
    },
  );

  it('is an address and a port', async () => {
    const { code, stderr } = await start('--web', '8080');
    expect([code, stderr]).toEqual([2, expect.stringContaining('such as 127.0.0.1:8080')]);
  });

  it('may be one that others reach where that is wanted; without --web there is none', async () => {
    await withDaemon({ flags: ['--web', '0.0.0.0:0', '--web-exposed'] }, async (daemon) => {
      expect(urlOf(daemon)).toMatch(/^http:\/\/0\.0\.0\.0:\d+\/$/);
    });
    await withDaemon({}, async (daemon) => {
      expect(() => urlOf(daemon)).toThrow(/no page/);
    });
  });
});

interface Seen extends Box {
  readonly name: string;
}

/** Pairs of things that lie over each other, as the browser has placed them. */
async function overlaps(page: Page): Promise<readonly string[]> {
  const all = await inPage<readonly Seen[]>(
    page,
    `[...document.querySelectorAll('.drawing li:not(.frame)')].map((item) => {
      const { x, y, width, height } = item.getBoundingClientRect();
      return { name: item.textContent, x, y, width, height };
    })`,
  );
  return all.flatMap((a, index) =>
    all
      .slice(index + 1)
      .filter((b) => overlap(a, b))
      .map((b) => `${a.name} and ${b.name}`),
  );
}
