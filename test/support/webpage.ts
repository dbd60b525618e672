/** The topology page in a test: what it shows, and how to find it there. */
import type { Page } from 'playwright-core';
import type { Client } from '../../src/client/index.ts';
import type { EndpointOptions } from '../../src/index.ts';
import type { Daemon } from './dnet.ts';

/** Where the daemon says that its page is. */
export function urlOf(daemon: Daemon): string {
  const ready = daemon
    .log()
    .split('\n')
    .find((line) => line.includes('"ready"'));
  const { web }: { web?: string } = JSON.parse(ready ?? '{}');
  if (web === undefined) throw new Error(`no page: ${daemon.log()}`);
  return web;
}

export async function network(client: Client, name: string, subnet: string, internal = false): Promise<void> {
  await client.createNetwork({ name, driver: 'bridge', internal, ipam: { pools: [{ subnet }] } });
}

export async function container(
  client: Client,
  name: string,
  networks: readonly string[],
  ports: EndpointOptions['ports'] = [],
): Promise<void> {
  await client.createSandbox({ containerId: name });
  for (const [index, each] of networks.entries()) {
    await client.createEndpoint(each, { name, ports: index === 0 ? ports : [], gatewayPriority: -index });
    await client.join(each, name, { sandbox: name });
  }
}

export const web = { protocol: 'tcp', container: 80, host: 8080 } as const;

export const tile = (page: Page, name: string) => page.locator('.tiles [data-key]', { hasText: name });
export const card = (page: Page, name: string) =>
  page.locator('.drawing .card [data-key]', { hasText: name });
