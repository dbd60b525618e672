/**
 * Who reaches whom: every pair of a host, what is around it and containers of all kinds of networks, over tcp, udp
 * and icmp in both families, on the real kernel and in memory, against reviewed tables in `test/golden/matrix`.
 */
import { readFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { FAMILIES } from '../../../src/ip.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { canUseKernel, whyNot } from '../../support/kernel.ts';
import { type Machine, openMachine } from './matrix/machine.ts';
import { type Target, targets } from './matrix/places.ts';
import { type ProbeProtocol, predict, probe } from './matrix/probe.ts';
import { format, type Matrix } from './matrix/table.ts';
import { buildNetworks, buildSurroundings } from './matrix/world.ts';

const PROTOCOLS: readonly ProbeProtocol[] = ['tcp', 'udp', 'icmp'];
const TABLES = FAMILIES.flatMap((family) => PROTOCOLS.map((protocol) => ({ family, protocol })));

const golden = (name: string) => new URL(`../../golden/matrix/${name}.txt`, import.meta.url).pathname;

async function inMemory(protocol: ProbeProtocol, columns: readonly Target[]): Promise<Matrix> {
  const osl = fakeOsl();
  const path = (name: string) => `/run/matrix/${name}`;
  const options = { osl, engine: 'nftables', path } as const;
  await buildNetworks(options, await buildSurroundings(options));
  return predict(osl.kernel, path, protocol, columns);
}

describe('who reaches whom in memory', () => {
  it.for(TABLES)('is as the reviewed table of $protocol over $family says', async ({ family, protocol }) => {
    const columns = targets(family, protocol);
    const matrix = await inMemory(protocol, columns);
    await expect(format(`${protocol} over ${family}`, columns, matrix)).toMatchFileSnapshot(
      golden(`${family}-${protocol}`),
    );
  });
});

for (const engine of ['nftables', 'iptables'] as const) {
  describe.skipIf(!canUseKernel)(`who reaches whom on the real kernel, by ${engine} ${whyNot}`, () => {
    let machine: Machine;
    beforeAll(async () => {
      machine = await openMachine(engine);
    });
    afterAll(() => machine.remove());

    it.for(TABLES)(
      'is as the reviewed table of $protocol over $family says',
      async ({ family, protocol }, context) => {
        const { world } = machine;
        if (world === undefined) return context.skip(machine.whyNot);
        const columns = targets(family, protocol);
        const file = golden(`${family}-${protocol}`);
        const expected = await readFile(file, 'utf8');
        const predicted = await inMemory(protocol, columns);
        const answers = (row: string, i: number) => predicted.get(row)?.[i]?.startsWith('reach') ?? false;
        const matrix = await probe(world.namespaces, protocol, columns, answers);
        expect(format(`${protocol} over ${family}`, columns, matrix)).toBe(expected);
      },
    );

    it('leaves a bridge of others as open as it was', async () => {
      const [one] = machine.strangers;
      for (const address of ['172.31.0.2', 'fd31::2'])
        expect(await one?.ping(address), address).toBeTypeOf('number');
    });

    it('leaves rules and settings of others as they were', async (context) => {
      const { world } = machine;
      if (world === undefined) return context.skip(machine.whyNot);
      expect(machine.before).toMatchObject({
        rules: expect.arrayContaining([
          '\t\tip saddr @friends drop',
          '\t\tcounter jump DOCKER-USER',
        ]) as string[],
      });
      await world.tearDown();
      expect(await machine.look()).toEqual(machine.before);
    });
  });
}
