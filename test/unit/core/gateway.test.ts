import { describe, expect, it } from 'vitest';
import { chooseGateways, type GatewayCandidate, publishedFamilies } from '../../../src/gateway.ts';
import type { EndpointId } from '../../../src/ids.ts';

const candidate = (id: string, facts: Partial<GatewayCandidate> = {}): GatewayCandidate => ({
  endpointId: id as EndpointId,
  priority: 0,
  internal: false,
  networkName: id,
  order: 1,
  ipv4: true,
  ipv6: false,
  ...facts,
});

describe('chooseGateways', () => {
  it('chooses none where no endpoint has a gateway', () => {
    expect(chooseGateways([candidate('a', { ipv4: false })])).toEqual({ ipv4: undefined, ipv6: undefined });
  });

  it('lets the higher priority win, also over an endpoint with both families', () => {
    const dual = candidate('dual', { ipv6: true });
    const high = candidate('high', { priority: 1000 });
    expect(chooseGateways([dual, high])).toEqual({ ipv4: 'high', ipv6: 'dual' });
  });

  it('prefers, at equal priority, the endpoint that gives both families', () => {
    const v4 = candidate('a');
    const dual = candidate('b', { ipv6: true });
    expect(chooseGateways([v4, dual])).toEqual({ ipv4: 'b', ipv6: 'b' });
  });

  it('takes an internal network last', () => {
    const internal = candidate('a', { internal: true });
    expect(chooseGateways([internal, candidate('b')]).ipv4).toBe('b');
  });

  it('goes by the network name, then by the order of joins', () => {
    expect(chooseGateways([candidate('b'), candidate('a')]).ipv4).toBe('a');
    const first = candidate('first', { networkName: 'same', order: 1 });
    const second = candidate('second', { networkName: 'same', order: 2 });
    expect(chooseGateways([second, first]).ipv4).toBe('first');
  });
});

describe('publishedFamilies', () => {
  const id = 'a' as EndpointId;
  const other = 'b' as EndpointId;
  it.each([
    { ipv4: id, ipv6: id, expected: { ipv4: true, ipv6: true } },
    { ipv4: id, ipv6: undefined, expected: { ipv4: true, ipv6: true } },
    { ipv4: id, ipv6: other, expected: { ipv4: true, ipv6: false } },
    { ipv4: other, ipv6: id, expected: { ipv4: false, ipv6: true } },
    { ipv4: other, ipv6: undefined, expected: { ipv4: false, ipv6: false } },
  ])('publishes for $expected when the gateways are $ipv4 and $ipv6', ({ ipv4, ipv6, expected }) => {
    expect(publishedFamilies(id, { ipv4, ipv6 })).toEqual(expected);
  });
});
