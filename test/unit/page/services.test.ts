import { describe, expect, it } from 'vitest';
import { sceneOf } from '../../../src/page/scene.ts';
import { liveText, membershipText, servicesOf } from '../../../src/page/services.ts';
import type { ServicePlace } from '../../../src/page/topology.ts';
import { endpoint, network, topology } from './topologies.ts';

const web: ServicePlace = {
  name: 'web',
  aliases: ['www'],
  mode: 'vip',
  enabled: true,
  ipv4: '10.9.0.9/24',
};
const front = network('front');
const joined = (name: string, service: ServicePlace) =>
  endpoint(name, front.id, { service, sandboxId: `s-${name}` });

describe('services of a network', () => {
  it('are those that its endpoints tell of, by name, each once', () => {
    const endpoints = [
      joined('b', { ...web, name: 'zoo' }),
      joined('web.1', web),
      joined('web.2', web),
      endpoint('other', 'n-back', { service: { ...web, name: 'back' } }),
      endpoint('plain', front.id),
    ];
    const told = servicesOf(endpoints, front.id).map(({ service, endpoints: members }) => [
      service.name,
      members.map(({ name }) => name),
    ]);
    expect(told).toEqual([
      ['web', ['web.1', 'web.2']],
      ['zoo', ['b']],
    ]);
  });

  it('tell how many of their endpoints take connections: joined, here or elsewhere, and not drained', () => {
    const textOf = (...endpoints: Parameters<typeof servicesOf>[0]) =>
      servicesOf(endpoints, front.id).map(liveText);
    expect(textOf(joined('a', web), joined('b', web))).toEqual(['2 endpoints']);
    expect(
      textOf(
        joined('a', web),
        joined('b', { ...web, enabled: false }),
        endpoint('c', front.id, { service: web }),
        endpoint('d', front.id, { service: web, host: 'other' }),
      ),
    ).toEqual(['2 of 4 endpoints live']);
  });

  it('have a virtual address, or are found by name', () => {
    expect(membershipText(web)).toBe('web, 10.9.0.9');
    expect(membershipText({ ...web, ipv6: 'fd00::9/64', enabled: false })).toBe(
      'web, 10.9.0.9, fd00::9, drained',
    );
    expect(membershipText({ name: 'web', aliases: [], mode: 'dnsrr', enabled: true })).toBe(
      'web, by name, each in turn',
    );
  });

  it.each(['web', 'www', '10.9.0.9'])('are found by %s', (text) => {
    const all = topology([front], [], [joined('a', web), endpoint('b', front.id)]);
    expect(sceneOf(all, text).shown).toBe(1);
  });
});
