import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, it } from 'vitest';
import { linuxOsl } from '../../src/osl/linux/index.ts';
import { oslContract } from '../../src/testing/osl.ts';

/** The same suite that test/contract runs, on a kernel that has every kind of link. */
const inside = process.env.LIBNETWORK_UML === '1';
const directory = inside ? mkdtempSync(join(tmpdir(), `libnetwork-contract-${process.pid}-`)) : '';
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** The kernel in question has nf_tables, but not for IPv4 and IPv6 in one table. */
const noFirewall = Object.fromEntries(
  ['ipv4', 'ipv6'].flatMap((family) =>
    [
      `${family} connections reach published ports only, and network addresses stay hidden`,
      `${family} rules outlive the handle that made them, and are found again`,
      `${family} connections and pings to its address reach its backends, all of them`,
      `${family} connections keep their backend when others come and it goes`,
      `${family} backends reach their own service, and themselves by it`,
    ].map((title) => [title, 'the kernel has no tables of the family inet']),
  ),
);

describe.skipIf(!inside)('a kernel with every kind of link (npm run test:uml)', () => {
  // Not to be counted test by test where none of them can run.
  if (!inside) {
    it('keeps the osl contract', () => undefined);
    return;
  }
  oslContract({
    name: 'linux',
    open: () => linuxOsl(),
    scratch: () => directory,
    leaveFile: (path) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, '');
    },
    deviations: noFirewall,
  });
});
