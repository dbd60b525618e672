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

/** @param namespace the path of the network namespace that the browser is in; default: that of the test */
export async function withBrowser(
  test: (browser: Browser) => Promise<void>,
  namespace?: string,
): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), `libnetwork-${process.pid}-chromium-`));
  const start = join(directory, 'start');
  const enter = namespace === undefined ? [] : ['/usr/bin/nsenter', `--net=${namespace}`, '--'];
  const [first = PROGRAM, ...rest] = [...enter, PROGRAM];
  const [file, args] = bound(first, rest);
  await writeFile(start, `#!/bin/sh\nexec ${[file, ...args].map((word) => `'${word}'`).join(' ')} "$@"\n`);
  await chmod(start, 0o755);
  // What the browser keeps, also outside its profile, goes with the directory.
  const env = { ...process.env, HOME: directory, XDG_CONFIG_HOME: directory, XDG_CACHE_HOME: directory };
  const browser = await chromium.launch({ executablePath: start, args: FLAGS, env });
  try {
    await test(browser);
  } finally {
    await browser.close();
    await rm(directory, { recursive: true, force: true });
  }
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
    if (message.type() === 'error' || message.type() === 'warning') complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => origins.add(new URL(request.url()).origin));
  await page.goto(url);
  return { page, complaints, origins };
}
