/** What untrusted code may try, and what must come of it. */
import { ALLOWED, EVIL, HOST, METADATA, NEIGHBOUR, OUTSIDE, STRANGER } from './addresses.ts';

export type Act =
  /** Fetches `/ID` by HTTP, from all addresses of a name in turn. */
  | { readonly by: 'tcp'; readonly to: string; readonly port: number }
  /** Sends its id and waits for an answer. `broadcast` also to everybody. */
  | { readonly by: 'udp'; readonly to: string; readonly port: number }
  /** Asks the sandbox's name server, or another. */
  | { readonly by: 'dns'; readonly name: string; readonly type: string; readonly server?: string };

export interface Attempt {
  /** What is sent, so that it is known again wherever it arrives. */
  readonly id: string;
  readonly what: string;
  readonly act: Act;
  /** Who must answer; without it nothing may arrive anywhere. */
  readonly answer?: string;
  /** Not possible without a policy either. */
  readonly impossible?: true;
}

/** With the milliseconds after which what has not answered does not answer. */
export interface Timed extends Attempt {
  readonly patienceMs: number;
}

/** What must fail is not waited for long. What must not fail has time on a busy machine. */
export const SHORT_MS = 1_200;
export const LONG_MS = 10_000;

/** @param isConfined whether the policy holds, so that nearly all must fail */
export function timed(attempt: Attempt, isConfined: boolean): Timed {
  const mustFail = attempt.impossible ?? (isConfined && attempt.answer === undefined);
  return { ...attempt, patienceMs: mustFail ? SHORT_MS : LONG_MS };
}

/**
 * Those of one list go at once, the lists one after the other.
 * @param linkLocal the bridge's, with the interface that it is reached by
 */
export function attempts(linkLocal: string): readonly (readonly Attempt[])[] {
  let count = 0;
  const attempt = (what: string, act: Act, more: Pick<Attempt, 'answer' | 'impossible'> = {}): Attempt => {
    count++;
    return { id: `attempt-${count}`, what, act, ...more };
  };
  const tcp = (what: string, to: string, port: number, more?: Pick<Attempt, 'answer' | 'impossible'>) =>
    attempt(`${what}: ${to.includes(':') ? `[${to}]` : to}:${port}`, { by: 'tcp', to, port }, more);
  const udp = (what: string, to: string, port: number) =>
    attempt(`${what}: ${to} udp ${port}`, { by: 'udp', to, port });
  // The attempt's number is in the name, where the name server's log finds it.
  const dns = (what: string, name: string, type: string, server?: string) => {
    const full = name.replace('*', `attempt-${count + 1}`);
    return attempt(`${what}: ${type} ${full}`, { by: 'dns', name: full, type, ...(server && { server }) });
  };
  const [registry, packages] = ALLOWED;
  return [
    [tcp('an allowed address before its name was asked for', registry.ipv4, 443)],
    ALLOWED.map(({ name }) => tcp('an allowed name', name, 443, { answer: name })),
    [
      tcp('an allowed name by IPv6', registry.ipv6, 443, { answer: registry.name }),
      tcp('an allowed name at another port', registry.name, 80),
      udp('an allowed name by another protocol', registry.ipv4, 443),
      tcp('another name', EVIL.name, 443),
      tcp('another address', EVIL.ipv4, 443),
      tcp('another address by IPv6', EVIL.ipv6, 443),
      udp('another address by UDP', EVIL.ipv4, 443),
      udp('another address by UDP and IPv6', EVIL.ipv6, 443),
      dns('DNS, another name', `*.${EVIL.name}`, 'A'),
      dns('DNS, data in the question', `73656372657473.*.${EVIL.name}`, 'TXT'),
      dns('DNS, below an allowed name', `*.${registry.name}`, 'A'),
      dns('DNS, an allowed name within another', `${registry.name}.*.${EVIL.name}`, 'AAAA'),
      dns('DNS, straight to the outside’s server', `*.${EVIL.name}`, 'A', OUTSIDE.ipv4),
      dns('DNS, straight to it by IPv6', `*.${EVIL.name}`, 'A', `[${OUTSIDE.ipv6}]`),
      tcp('DNS by TCP, straight to it', OUTSIDE.ipv4, 53),
      tcp('the metadata service', METADATA.ipv4, 80),
      tcp('the metadata service by IPv6', METADATA.ipv6, 80),
      tcp(`the metadata service, that ${packages.name} also claims to be`, METADATA.ipv4, 443),
      tcp(`the host, that ${packages.name} also claims to be`, HOST.gateway4, 443),
      tcp('the host by its gateway address', HOST.gateway4, 22),
      tcp('the host by its IPv6 gateway address', HOST.gateway6, 22),
      tcp('the host by its link-local address', linkLocal, 22),
      tcp('the host by its address outside', HOST.ipv4, 22),
      tcp('a neighbour by name', NEIGHBOUR.name, 443),
      tcp('a neighbour by address', NEIGHBOUR.ipv4, 443),
      tcp('a neighbour by IPv6', NEIGHBOUR.ipv6, 443),
      udp('a neighbour by UDP', NEIGHBOUR.ipv4, 5353),
      udp('the neighbours by broadcast', '255.255.255.255', 5353),
      udp('the neighbours by multicast', '224.0.0.1', 5353),
      udp('the neighbours by IPv6 multicast', 'ff02::1%eth0', 5353),
      tcp('a container of another network', STRANGER.ipv4, 443, { impossible: true }),
      tcp('its port that is published on the host', HOST.ipv4, STRANGER.published),
      tcp('its published port by the gateway address', HOST.gateway4, STRANGER.published),
    ],
  ];
}
