/** A real browser for a test: Debian's chromium, driven by playwright-core. It ends with the test, also when that is killed. */
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { bound } from './bound.ts';

const PROGRAM = '/usr/bin/chromium';
export const hasBrowser = existsSync(PROGRAM);

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
  '--disable-dev-shm-usage',
];

export interface OpenBrowser {
  readonly browser: Browser;
  /** Ends it, and removes what it has kept. */
  close(): Promise<void>;
}

/** @param namespace the path of the network namespace that the browser is in; default: that of the test */
export async function openBrowser(namespace?: string): Promise<OpenBrowser> {
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-chromium-`));
  const remove = () => rm(directory, { recursive: true, force: true });
  try {
    const executablePath = await startScript(directory, namespace);
    // What the browser keeps, also outside its profile, goes with the directory.
    const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory, XDG_CACHE_HOME: directory };
    const browser = await chromium.launch({ executablePath, args: FLAGS, env });
    return { browser, close: () => browser.close().finally(remove) };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** A program that becomes the browser, in the namespace, and that ends with this process. */
async function startScript(directory: string, namespace: string | undefined): Promise<string> {
  const enter = namespace === undefined ? [] : ['/usr/bin/nsenter', `--net=${namespace}`, '--'];
  const [first = PROGRAM, ...rest] = [...enter, PROGRAM];
  const [file, args] = bound(first, rest);
  const words = [file, ...args].map((word) => `'${word}'`).join(' ');
  const start = join(directory, 'start');
  await writeFile(start, `#!/bin/sh\nexec ${words} "$@"\n`);
  await chmod(start, 0o755);
  return start;
}

export interface Watched {
  readonly page: Page;
  /** What the page's console said, and what was thrown in it. */
  readonly complaints: string[];
  /** The origins that it asked anything of. */
  readonly origins: Set<string>;
}

/** A page of its own: nothing is kept from one to the next. */
export async function openPage(
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Watched> {
  const context = await browser.newContext({ viewport: { width: 1360, height: 860 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(60_000);
  const complaints: string[] = [];
  const origins = new Set<string>();
  page.on('console', (message) => {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    // Whoever changes an address in the browser's namespace makes it give up what it waits for: the page asks again.
    if (!message.text().includes('net::ERR_NETWORK_CHANGED')) complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  await page.goto(url);
  return { page, complaints, origins };
}
