import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe } from 'vitest';
import { linuxOsl } from '../../src/osl/linux/index.ts';
import { oslContract } from '../../src/testing/osl.ts';
import { canUseKernel, whyNot } from '../support/kernel.ts';

const directory = mkdtempSync(join(tmpdir(), `libnetwork-contract-${process.pid}-`));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

describe.skipIf(!canUseKernel)(`the real kernel ${whyNot}`, () => {
  oslContract({
    name: 'linux',
    open: () => linuxOsl(),
    scratch: () => directory,
    leaveFile: (path) => {
      mkdirSync(dirname(path), { recursive: true });
      writeFileSync(path, '');
    },
    lacks: ['dummy', 'vlan', 'ipvlan', 'vlan filtering', 'esp'],
  });
});
