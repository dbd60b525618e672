import { type FakeKernel, type FakeOsl, fakeOsl, type KernelDump } from '../../src/osl/fake/index.ts';
import type { Table } from '../../src/osl/firewall/model.ts';
import type { Namespace } from '../../src/osl/osl.ts';
import type { DriverWorld, OpenWorld } from '../../src/testing/driver.ts';

const kernels = new WeakMap<DriverWorld, FakeKernel>();

/** The kernel of a world, which outlives its processes. */
export function kernelOf(world: DriverWorld): FakeKernel | undefined {
  return kernels.get(world);
}

/** A world on the fake kernel. */
export async function openFakeWorld({ faults, after }: OpenWorld): Promise<DriverWorld> {
  const osl: FakeOsl = fakeOsl({ faults, kernel: after && kernels.get(after) });
  const opened = new Map<string, Namespace>();
  const path = (name: string) => `/run/libnetwork/${name}`;
  const world: DriverWorld = {
    osl,
    firewall: await osl.host.firewall({ engine: 'nftables', table: 'libnetwork-contract' }),
    async sandbox(name) {
      const known = opened.get(name) ?? (await osl.createNamespace(path(name)));
      opened.set(name, known);
      return known;
    },
    async endSandbox(name) {
      await opened.get(name)?.close();
      opened.delete(name);
      await osl.deleteNamespace(path(name));
    },
    dump: async () => lines(osl.kernel.dump()),
    close: () => osl.close(),
  };
  kernels.set(world, osl.kernel);
  return world;
}

/** The state as lines, so that a difference can be read. Bridges have MAC addresses of chance. */
function lines({ namespaces, halfMade }: KernelDump): string[] {
  const all = Object.entries(namespaces).flatMap(([name, { sysctls, tables, ...rest }]) => [
    ...Object.entries(rest).flatMap(([kind, entries]) => entries.map((entry) => `${name} ${kind} ${entry}`)),
    ...Object.entries(sysctls).map(([key, value]) => `${name} ${key} = ${value}`),
    ...tables.flatMap(tableLines).map((line) => `${name} ${line}`),
  ]);
  // A namespace without a path is there only as long as somebody holds it open.
  const lasting = all.filter((line) => !/^#\d+ /.test(line));
  return [...lasting, ...halfMade].map((line) => line.replace(/mac (?!02:42)[0-9a-f:]{17}/, 'mac *')).sort();
}

function tableLines({ name, chains, sets }: Table): string[] {
  return [
    ...chains.map((chain) => `table ${name} chain ${JSON.stringify(chain)}`),
    ...sets.flatMap((set) =>
      set.elements.map((element) => `table ${name} set ${set.name} ${JSON.stringify(element)}`),
    ),
  ];
}
