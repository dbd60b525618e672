/**
 * Draws the pictures of the topology page in docs/images: `node scripts/page-pictures.mjs [DIRECTORY]`, after a build.
 * The daemon is one on a kernel in memory; the browser is Debian's chromium.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { Client, connectTo } from '../dist/client/index.js';

const program = fileURLToPath(new URL('../dist/cmd/dnet.js', import.meta.url));
const into = process.argv[2] ?? fileURLToPath(new URL('../docs/images/', import.meta.url));
const SIZE = { width: 1360, height: 860 };

/** Runs with a daemon, and ends it. */
async function withDaemon(act) {
  const directory = mkdtempSync(join(tmpdir(), 'libnetwork-pictures-'));
  const socket = `unix://${join(directory, 'dnet.sock')}`;
  const args = ['daemon', '--fake', '--host', socket, '--data-dir', directory, '--run-dir', directory, '--web', '127.0.0.1:0'];
  const child = spawn(process.execPath, [program, ...args], { stdio: ['ignore', 'ignore', 'pipe'] });
  try {
    let url;
    for await (const line of createInterface({ input: child.stderr })) {
      const { msg, web } = JSON.parse(line);
      if (msg === 'ready') url = web;
      if (url) break;
    }
    child.stderr.resume();
    await act(new Client(connectTo(socket)), url);
  } finally {
    child.kill('SIGKILL');
    await once(child, 'exit');
    rmSync(directory, { recursive: true });
  }
}

/** A container that joins networks, each as `[network, ports]`. */
async function container(client, name, ...places) {
  await client.createSandbox({ containerId: name, hostname: name });
  for (const [index, [network, ports = []]] of places.entries()) {
    await client.createEndpoint(network, { name, ports, gatewayPriority: -index });
    await client.join(network, name, { sandbox: name });
  }
}

const port = (host, inside, rest = {}) => ({ host, container: inside, protocol: 'tcp', ...rest });
const network = (client, name, subnet, rest = {}) =>
  client.createNetwork({ name, driver: 'bridge', ipam: { pools: [{ subnet }] }, ...rest });

async function shop(client) {
  await network(client, 'front', '10.20.0.0/24');
  await network(client, 'back', '10.21.0.0/24', { internal: true });
  await network(client, 'metrics', '10.30.0.0/24', {
    ipv6: true,
    ipam: { pools: [{ subnet: '10.30.0.0/24' }, { subnet: 'fd30::/64' }] },
  });
  await container(client, 'proxy', ['front', [port(80, 8080), port(443, 8443)]], ['metrics']);
  await container(client, 'web-1', ['front']);
  await container(client, 'web-2', ['front']);
  await container(client, 'api-1', ['front'], ['back']);
  await container(client, 'api-2', ['front'], ['back']);
  await container(client, 'db', ['back']);
  await container(client, 'cache', ['back']);
  await container(client, 'grafana', ['metrics', [port(3000, 3000)]]);
  await container(client, 'prometheus', ['metrics'], ['back']);
  await container(client, 'resolver', ['metrics', [port(53, 53, { protocol: 'udp' }), port(53, 53)]]);
  await client.createEndpoint('back', { name: 'next-db' });
}

async function crowd(client) {
  const names = ['edge', 'web', 'jobs', 'data', 'search'];
  for (const [index, name] of names.entries())
    await network(client, name, `10.${40 + index}.0.0/16`, { internal: name === 'data' });
  const sizes = { edge: 24, web: 180, jobs: 130, data: 60, search: 76 };
  for (const name of names)
    for (let each = 1; each <= sizes[name]; each += 1) {
      const ports = name === 'edge' ? [port(8000 + each, 80)] : [];
      const also = name === 'web' && each % 6 === 0 ? [['data']] : [];
      await container(client, `${name}-${each}`, [name, ports], ...also);
    }
}

async function withBrowser(act) {
  const profile = mkdtempSync(join(tmpdir(), 'libnetwork-chromium-'));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: '/usr/bin/chromium',
    args: ['--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'],
    viewport: SIZE,
    reducedMotion: 'reduce',
  });
  try {
    await act(await context.newPage());
  } finally {
    await context.close();
    rmSync(profile, { recursive: true, force: true });
  }
}

async function open(page, url, colorScheme) {
  await page.emulateMedia({ colorScheme });
  await page.goto(url);
  await page.waitForSelector('body[data-ready]');
}

async function picture(page, name) {
  await page.waitForTimeout(400);
  await page.screenshot({ path: join(into, `${name}.png`) });
  console.log(`${name}.png`);
}

mkdirSync(into, { recursive: true });
await withBrowser(async (page) => {
  page.setDefaultTimeout(10_000);
  page.on('pageerror', (error) => console.log(error.stack));
  await withDaemon(async (client, url) => {
    await shop(client);
    await open(page, url, 'light');
    await picture(page, 'topology-light');
    await open(page, url, 'dark');
    await page.click('[data-key^="sandbox:"]:has-text("api-1")');
    await page.waitForSelector('.stack table');
    await picture(page, 'topology-dark');
    await page.click('[data-key^="door:"]:has-text("443")');
    await page.click('#details summary');
    await page.waitForSelector('.verdict');
    await picture(page, 'topology-packet');
  });
  await withDaemon(async (client, url) => {
    await crowd(client);
    await open(page, url, 'light');
    await picture(page, 'topology-500');
  });
});
