/** What must be the same on both kernels after every step: plain data without indexes and random values. */
import type { Namespace } from '../../../src/osl/osl.ts';
import type { Places } from './steps.ts';

export type Snapshot = Readonly<Record<string, readonly string[]>>;

/** MAC addresses that the test chose begin so; others are the kernel's own. */
const CHOSEN = '02:00:00:';
const KNOWN_MACS = new Set(['00:00:00:00:00:00']);

export async function snapshot({ a, b }: Places): Promise<Snapshot> {
  return { ...(await look('a', a)), ...(await look('b', b)) };
}

async function look(place: string, namespace: Namespace): Promise<Snapshot> {
  const links = await namespace.links();
  return {
    [`${place} links`]: links
      .map(({ name, kind, up, mtu, macAddress, alias, master, group }) =>
        JSON.stringify({ name, kind, up, mtu, mac: showMac(macAddress), alias, master, group }),
      )
      .sort(),
    [`${place} addresses`]: (await namespace.addresses())
      .filter((entry) => entry.scope !== 'link')
      .map(flat)
      .sort(),
    [`${place} routes`]: (await namespace.routes())
      .filter((route) => route.destination !== 'fe80::/64')
      .map(flat)
      .sort(),
    [`${place} neighbours`]: (await namespace.neighbours())
      .filter((entry) => entry.permanent && entry.macAddress?.startsWith(`${CHOSEN}ff`))
      .map(flat)
      .sort(),
  };
}

/** One line, whatever order the facts come in. */
function flat(facts: object): string {
  return JSON.stringify(Object.fromEntries(Object.entries(facts).sort(([a], [b]) => (a < b ? -1 : 1))));
}

function showMac(mac: string | undefined): string | undefined {
  return mac === undefined || mac.startsWith(CHOSEN) || KNOWN_MACS.has(mac) ? mac : 'its own';
}

/** The lines that only one of two snapshots has. */
export function difference(fake: Snapshot, real: Snapshot): readonly string[] {
  return Object.keys(real).flatMap((part) => {
    const [left, right] = [fake[part] ?? [], real[part] ?? []];
    return [
      ...left.filter((line) => !right.includes(line)).map((line) => `${part}: only fake: ${line}`),
      ...right.filter((line) => !left.includes(line)).map((line) => `${part}: only real: ${line}`),
    ];
  });
}
