/** Random steps on two namespaces, as data: the same step can be taken on any kernel. */
import type { Family } from '../../../src/ip.ts';
import type { Change, Namespace, RouteSpec } from '../../../src/osl/osl.ts';
import type { Random } from './random.ts';

export type Place = 'a' | 'b';
export type Places = Readonly<Record<Place, Namespace>>;

/** A change whose namespaces are still names. */
type Described =
  | { readonly kind: 'change'; readonly change: (places: Places) => Change; readonly text: unknown }
  | { readonly kind: 'delete'; readonly name: string }
  | { readonly kind: 'sysctl'; readonly key: string; readonly value: string };

export type Step = Described & { readonly place: Place };

export function describeStep(step: Step): string {
  if (step.kind === 'delete') return `${step.place}: deleteLink ${step.name}`;
  if (step.kind === 'sysctl') return `${step.place}: ${step.key} = ${step.value}`;
  return `${step.place}: ${JSON.stringify(step.text)}`;
}

export async function take(step: Step, places: Places): Promise<unknown> {
  const namespace = places[step.place];
  if (step.kind === 'delete') return await namespace.deleteLink(step.name);
  if (step.kind === 'sysctl') return await namespace.setSysctl(step.key, step.value);
  return await namespace.apply([step.change(places)]);
}

const PLACES = ['a', 'b'] as const;
const LINKS = ['v1', 'v2', 'v3', 'v4', 'v5'] as const;
const BRIDGES = ['br0', 'br1'] as const;
const NAMES = [...LINKS, ...BRIDGES, 'lo', 'none'] as const;
const MTUS = [1500, 1400, 1280, 1279, 576, 68, 67, 65535, 65536] as const;
const ADDRESSES = [
  '10.0.0.1/24',
  '10.0.0.2/24',
  '10.0.0.3/25',
  '10.0.1.1/24',
  '10.0.0.1/32',
  'fd00::1/64',
  'fd00::2/64',
  'fd00::3/80',
  'fd00:1::1/64',
  'fd00::1/128',
] as const;
const DESTINATIONS = {
  ipv4: ['default', '10.0.0.0/24', '10.5.0.0/16', '10.5.1.0/24', '192.0.2.1/32'],
  ipv6: ['default', 'fd00::/64', 'fd05::/32', 'fd05:0:1::/48', '2001:db8::1/128'],
} as const;
const GATEWAYS = {
  ipv4: ['10.0.0.1', '10.0.0.9', '10.0.1.9', '10.5.0.9', '203.0.113.1'],
  // None of our own: whether the kernel sees them as such depends on the moment (duplicate address detection).
  ipv6: ['fd00::9', 'fd00:1::9', 'fd05::9', '2001:db8:9::1', 'fe80::9'],
} as const;
const NEIGHBOURS = ['10.0.0.7', 'fd00::7'] as const;

/** Makes steps that mostly make sense together, and some that do not. */
export class Steps {
  readonly #random: Random;
  #macs = 0;

  constructor(random: Random) {
    this.#random = random;
  }

  next(): Step {
    const random = this.#random;
    const place = random.pick(PLACES);
    const described = random.weighted<Described>([
      [5, () => this.#veth()],
      [3, () => this.#bridge()],
      [1, () => this.#upper()],
      [1, () => this.#vxlan()],
      [8, () => this.#up()],
      [5, () => this.#set()],
      [2, () => this.#move()],
      [2, () => ({ kind: 'delete', name: random.pick(NAMES) })],
      [9, () => this.#address('addAddress')],
      [4, () => this.#address('deleteAddress')],
      [8, () => this.#route('addRoute')],
      [3, () => this.#route('replaceRoute')],
      [4, () => this.#route('deleteRoute')],
      [3, () => this.#neighbour('setNeighbour')],
      [1, () => this.#neighbour('deleteNeighbour')],
      [2, () => this.#sysctl()],
    ]);
    return { ...described, place };
  }

  /** Every MAC is another one, so that the lowest of a bridge's ports is the same everywhere. */
  #mac(): string {
    const number = ++this.#macs;
    const salt = this.#random.below(200);
    return [2, 0, 0, salt, number >> 8, number & 255].map((n) => n.toString(16).padStart(2, '0')).join(':');
  }

  #plain(change: Change): Described {
    return { kind: 'change', change: () => change, text: change };
  }

  #veth(): Described {
    const random = this.#random;
    const to = random.maybe(0.5, PLACES);
    const change = {
      op: 'createLink',
      name: random.pick(LINKS),
      macAddress: this.#mac(),
      mtu: random.maybe(0.2, MTUS),
      master: random.maybe(0.3, BRIDGES),
      up: random.maybe(0.6, [true]),
      alias: random.maybe(0.2, ['libnetwork:test:1', 'another']),
      group: random.maybe(0.1, [1, 2]),
    } as const;
    const peer = { name: random.pick(LINKS), macAddress: this.#mac(), mtu: random.maybe(0.2, MTUS) };
    return {
      kind: 'change',
      change: (places) => ({
        ...change,
        link: { kind: 'veth', peer: { ...peer, namespace: to && places[to] } },
      }),
      text: { ...change, link: { kind: 'veth', peer: { ...peer, namespace: to } } },
    };
  }

  #bridge(): Described {
    const random = this.#random;
    return this.#plain({
      op: 'createLink',
      name: random.pick(BRIDGES),
      link: { kind: 'bridge' },
      macAddress: random.chance(0.3) ? this.#mac() : undefined,
      mtu: random.maybe(0.2, MTUS),
      up: random.maybe(0.6, [true]),
    });
  }

  #upper(): Described {
    const random = this.#random;
    const mode = random.pick<'bridge' | 'private' | 'vepa' | 'passthru'>([
      'bridge',
      'private',
      'vepa',
      'passthru',
    ]);
    return this.#plain({
      op: 'createLink',
      name: random.pick(LINKS),
      link: { kind: 'macvlan', parent: random.pick(NAMES), mode },
      macAddress: this.#mac(),
      mtu: random.maybe(0.2, MTUS),
      up: random.maybe(0.5, [true]),
    });
  }

  #vxlan(): Described {
    const random = this.#random;
    return this.#plain({
      op: 'createLink',
      name: random.pick(LINKS),
      link: {
        kind: 'vxlan',
        id: random.pick([5, 6]),
        port: random.pick([4789, 4790]),
        learning: false,
        group: random.maybe(0.2, ['::', '0.0.0.0']),
        parent: random.maybe(0.2, NAMES),
      },
      mtu: random.maybe(0.2, MTUS),
      macAddress: this.#mac(),
      master: random.maybe(0.3, BRIDGES),
      up: random.maybe(0.5, [true]),
    });
  }

  #up(): Described {
    return this.#plain({ op: 'setLink', name: this.#random.pick(NAMES), up: this.#random.chance(0.75) });
  }

  #set(): Described {
    const random = this.#random;
    const name = random.pick(NAMES);
    return random.weighted<Described>([
      [2, () => this.#plain({ op: 'setLink', name, mtu: random.pick(MTUS) })],
      [2, () => this.#plain({ op: 'setLink', name, macAddress: this.#mac() })],
      [3, () => this.#plain({ op: 'setLink', name, master: random.pick([...BRIDGES, null, 'v1', 'none']) })],
      [
        2,
        () =>
          this.#plain({
            op: 'setLink',
            name: random.pick([...LINKS, ...BRIDGES]),
            rename: random.pick(NAMES),
          }),
      ],
      [1, () => this.#plain({ op: 'setLink', name, alias: random.pick(['one', 'two', '']) })],
      [1, () => this.#plain({ op: 'setLink', name, group: random.pick([0, 3]) })],
      [1, () => this.#plain({ op: 'setLink', name, hairpin: random.chance(0.5) })],
      [1, () => this.#plain({ op: 'setLink', name, macAddress: '01:00:00:00:00:01' })],
      [
        1,
        () =>
          this.#plain({ op: 'setLink', name, mtu: random.pick(MTUS), alias: 'both', up: random.chance(0.5) }),
      ],
    ]);
  }

  #move(): Described {
    const name = this.#random.pick(NAMES);
    const to = this.#random.pick(PLACES);
    return {
      kind: 'change',
      change: (places) => ({ op: 'setLink', name, namespace: places[to] }),
      text: { op: 'setLink', name, namespace: to },
    };
  }

  #address(op: 'addAddress' | 'deleteAddress'): Described {
    const random = this.#random;
    return this.#plain({ op, link: random.pick(NAMES), address: random.pick(ADDRESSES), noDad: true });
  }

  #route(op: 'addRoute' | 'replaceRoute' | 'deleteRoute'): Described {
    const random = this.#random;
    const family = random.pick<Family>(['ipv4', 'ipv6']);
    const spec: RouteSpec = {
      family,
      destination: random.pick<string>(DESTINATIONS[family]),
      gateway: random.maybe<string>(0.5, GATEWAYS[family]),
      link: random.maybe(0.7, NAMES),
      metric: random.maybe(0.3, [0, 10, 256, 1024]),
      scope: random.maybe(0.1, ['global', 'link']),
    };
    return this.#plain({ op, ...spec });
  }

  #neighbour(op: 'setNeighbour' | 'deleteNeighbour'): Described {
    const random = this.#random;
    const macAddress = random.pick(['02:00:00:ff:00:01', '02:00:00:ff:00:02']);
    const link = random.pick(NAMES);
    if (random.chance(0.2))
      return this.#plain({
        op,
        link,
        macAddress,
        fdb: true,
        address: random.pick(['192.0.2.1', '192.0.2.2']),
      });
    return random.chance(0.3)
      ? this.#plain({ op, link, macAddress, fdb: true })
      : this.#plain({ op, link, macAddress, address: random.pick(NEIGHBOURS) });
  }

  #sysctl(): Described {
    const random = this.#random;
    const link = random.pick([...NAMES, 'all', 'default']);
    const key = random.pick(['ipv6/conf/LINK/disable_ipv6', 'ipv4/conf/LINK/promote_secondaries']);
    return { kind: 'sysctl', key: `net/${key.replace('LINK', link)}`, value: random.pick(['0', '1']) };
  }
}
