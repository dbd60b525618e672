import { describe, expect, it } from 'vitest';
import { parseAddress } from '../../../src/ip.ts';
import type { NetworkIntent } from '../../../src/osl/firewall/firewall.ts';
import { type Flow, trespassOf } from '../../../src/osl/firewall/trespass.ts';
import { bothFamilies, endpoint, network, port } from './intents.ts';

const CONTAINER = '10.9.0.2';
const OUTSIDE = '192.0.2.2';
const HOST = '192.0.2.1';

/** A TCP connection; `as` and `to` are what the other side sees, where it was translated. */
function flow(
  source: string,
  destination: string,
  destinationPort: number,
  { as = source, to = destination } = {},
): Flow {
  return {
    original: {
      source: parseAddress(source),
      destination: parseAddress(destination),
      protocol: 6,
      destinationPort,
    },
    reply: { source: parseAddress(to), destination: parseAddress(as) },
  };
}

const INTO = flow(OUTSIDE, CONTAINER, 81);
const PUBLISHED = flow(OUTSIDE, HOST, 8080, { to: CONTAINER });
const MISSED = flow(OUTSIDE, HOST, 8080);
const OUT = flow(CONTAINER, OUTSIDE, 443, { as: HOST });
const SHOWN = flow(CONTAINER, OUTSIDE, 443);
const WITHIN = flow(CONTAINER, '10.9.0.3', 80);
const OTHERS = flow(OUTSIDE, HOST, 22);

describe('connections that came about while rules were missing', () => {
  const told = (over: Partial<NetworkIntent>) => {
    const isTrespass = trespassOf([network(over), endpoint('web', port())]);
    return Object.entries({ INTO, PUBLISHED, MISSED, OUT, SHOWN, WITHIN, OTHERS })
      .filter(([, each]) => isTrespass(each))
      .map(([name]) => name);
  };

  it.each([
    ['nat', {}, ['INTO', 'MISSED', 'SHOWN']],
    ['nat-unprotected', bothFamilies({ mode: 'nat-unprotected' }), ['MISSED', 'SHOWN']],
    ['routed', bothFamilies({ mode: 'routed' }), ['MISSED']],
    ['nat without masquerading', bothFamilies({ masquerade: false }), ['INTO', 'MISSED']],
    ['isolated', bothFamilies({ mode: 'isolated' }), ['INTO', 'MISSED', 'SHOWN']],
    ['internal', { internal: true }, ['INTO', 'MISSED', 'SHOWN']],
  ] as const)('end where its rules would not have let them: %s', (_, over, names) => {
    expect(told(over)).toEqual(names);
  });

  it('are judged by family', () => {
    const isTrespass = trespassOf([network({ ipv4: undefined })]);
    expect(isTrespass(INTO)).toBe(false);
    expect(isTrespass(flow('2001:db8::2', 'fd00:9::2', 81))).toBe(true);
  });

  it('are left alone where their addresses are not known', () => {
    const { original, reply } = INTO;
    expect(trespassOf([network()])({ original: { ...original, source: undefined }, reply })).toBe(false);
  });
});
