import { describe, expect, it } from 'vitest';
import { importsOf, violations } from './imports.ts';
import { sources } from './sources.ts';

describe('imports go one way', () => {
  it.each(sources('src'))('$path', ({ path, text }) => {
    expect(violations(path.slice('src/'.length), text)).toEqual([]);
  });
});

describe('the check itself', () => {
  it('reads every form of import', () => {
    const source = [
      "import { a } from './a.ts';",
      "import type { B,\n  C } from '../b.ts';",
      "export * from './c.ts';",
      "export type { D } from './d.ts';",
      "import 'side-effect';",
      "const e = await import('./e.ts');",
      "// import { no } from './comment.ts';",
      "/* import { no } from './comment.ts'; */",
    ].join('\n');
    expect(importsOf(source)).toEqual([
      { target: './a.ts', typeOnly: false },
      { target: '../b.ts', typeOnly: true },
      { target: './c.ts', typeOnly: false },
      { target: './d.ts', typeOnly: true },
      { target: 'side-effect', typeOnly: false },
      { target: './e.ts', typeOnly: false },
    ]);
  });

  it.each([
    ['drivers/bridge/bridge.ts', "import { NetworkController } from '../../controller.ts';"],
    ['drivers/bridge/bridge.ts', "import { linuxOsl } from '../../osl/linux/index.ts';"],
    ['drivers/bridge/bridge.ts', "import { x } from '../null/null.ts';"],
    ['controller.ts', "import { linuxOsl } from './osl/linux/index.ts';"],
    ['controller.ts', "import { levelStore } from './datastore/level.ts';"],
    ['controller.ts', "import { bridge } from './drivers/bridge/bridge.ts';"],
    ['network.ts', "import { builtinIpam } from './ipam/allocator.ts';"],
    ['osl/osl.ts', "import { parseCidr } from './firewall/firewall.ts';"],
    ['ipam/ipam.ts', "import * as v from 'valibot';"],
    ['osl/fake/kernel.ts', "import { x } from '../linux/ffi.ts';"],
    ['resolver/server.ts', "import koffi from 'koffi';"],
    ['network.ts', "import { NetworkController } from './index.ts';"],
    ['network.ts', "import { helper } from '../test/support/kernel.ts';"],
  ])('refuses in %s: %s', (path, source) => {
    expect(violations(path, source)).toHaveLength(1);
  });

  it.each([
    ['drivers/bridge/bridge.ts', "import type { Osl } from '../../osl/osl.ts';"],
    ['driverapi/driver.ts', "import type { Firewall } from '../osl/firewall/firewall.ts';"],
    ['controller.ts', "import { createHash } from 'node:crypto';"],
    ['index.ts', "import { linuxOsl } from './osl/linux/index.ts';"],
  ])('allows in %s: %s', (path, source) => {
    expect(violations(path, source)).toEqual([]);
  });
});
