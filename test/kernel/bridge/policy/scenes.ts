/** Policies, and who gets through to whom under each: what the kernel and the one in memory must agree with. */
import type { PolicyRule } from '../../../../src/driverapi/driver.ts';
import { EVERYBODY, type Who } from './world.ts';

export interface Scene {
  readonly title: string;
  readonly policy: readonly PolicyRule[];
  /** True when `from` may begin to talk to `to`. Nobody is asked about himself. */
  passes(from: Who, to: Who, by: 'tcp' | 'udp' | 'icmp', port: number): boolean;
}

const app = (name: string) => ({ labels: { app: name } });
const INSIDE: readonly Who[] = ['web', 'db', 'guest'];
const isInside = (who: Who) => INSIDE.includes(who);

export const SCENES: readonly Scene[] = [
  { title: 'without a policy everybody talks to everybody', policy: [], passes: () => true },
  {
    title: 'only web talks to db, by one port, and everything else goes on',
    policy: [
      { from: app('web'), to: app('db'), ports: [{ protocol: 'tcp', port: 80 }], action: 'allow' },
      { to: app('db'), action: 'deny' },
    ],
    passes: (from, to, by, port) => to !== 'db' || (from === 'web' && by === 'tcp' && port === 80),
  },
  {
    title: 'untrusted code has an egress allow-list: one subnet, by some ports, and nothing else outside',
    policy: [
      {
        from: app('guest'),
        to: ['192.0.2.0/24', '2001:db8::2'],
        ports: [{ protocol: 'tcp', port: 60, portEnd: 80 }, { protocol: 'icmp' }],
        action: 'allow',
      },
      { from: app('guest'), to: 'outside', action: 'deny' },
    ],
    passes: (from, to, by, port) =>
      from !== 'guest' ||
      isInside(to) ||
      (to === 'outside' && ((by === 'tcp' && port === 80) || by === 'icmp')),
  },
  {
    title: 'the network is a room of its own, which the host may enter',
    policy: [
      { from: 'host', action: 'allow' },
      { from: 'outside', action: 'deny' },
      { to: ['outside', 'host'], action: 'deny' },
    ],
    passes: (from, to) => isInside(from) === isInside(to) || from === 'host',
  },
  {
    title: 'endpoints are known by their names and addresses as well',
    policy: [
      { from: { endpoint: 'guest' }, to: [{ endpoint: 'db' }, { endpoint: 'web' }], action: 'deny' },
      { from: ['10.9.0.2', 'fd00:9::2'], to: ['10.9.0.4', 'fd00:9::4'], action: 'deny' },
    ],
    passes: (from, to) =>
      !(from === 'guest' && (to === 'db' || to === 'web')) && !(from === 'web' && to === 'guest'),
  },
];

export const pairs = EVERYBODY.flatMap((from) =>
  EVERYBODY.filter((to) => to !== from).map((to) => [from, to] as const),
);
