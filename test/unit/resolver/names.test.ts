import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type EndpointNames, NameTable } from '../../../src/resolver/names.ts';

const web: EndpointNames = {
  id: 'e1',
  networkId: 'n1',
  networkName: 'front',
  sandboxId: 's1',
  names: ['Web', 'www', '68a41bc794e9'],
  ipv4: '10.9.0.5/24',
  ipv6: 'fd00:0::5',
};

function table(...endpoints: readonly EndpointNames[]): NameTable {
  const names = new NameTable();
  names.setSandbox({ id: 's1', networks: ['n1', 'n2'] });
  for (const endpoint of endpoints) names.setEndpoint(endpoint);
  return names;
}

describe('look-up', () => {
  it.each(['web', 'WEB', 'web.', 'www', '68a41bc794e9', 'web.front', 'Web.Front.'])('finds %s', (name) => {
    const names = table(web);
    expect(names.lookup('s1', name, 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s1', name, 'ipv6')).toEqual(['fd00::5']);
  });

  it('finds names and networks that contain dots', () => {
    const names = table({ ...web, names: ['a.b'], networkName: 'c.d' });
    expect(names.lookup('s1', 'a.b.c.d', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s1', 'a.b', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s1', 'b.c.d', 'ipv4')).toBeUndefined();
  });

  it('tells a name without such an address from an unknown one', () => {
    const names = table({ ...web, ipv6: undefined });
    expect(names.lookup('s1', 'web', 'ipv6')).toBe('no-such-type');
    expect(names.lookup('s1', 'wob', 'ipv6')).toBeUndefined();
  });

  it('sees only the networks that the sandbox has joined', () => {
    const names = table(web, { ...web, id: 'e2', networkId: 'n3', networkName: 'back', names: ['db'] });
    expect(names.lookup('s1', 'db', 'ipv4')).toBeUndefined();
    expect(names.lookup('s1', 'db.back', 'ipv4')).toBeUndefined();
    expect(names.lookup('nobody', 'web', 'ipv4')).toBeUndefined();
  });

  it('prefers the first network in the order of the sandbox', () => {
    const names = table(web, { ...web, id: 'e2', networkId: 'n2', networkName: 'back', ipv4: '10.8.0.5' });
    expect(names.lookup('s1', 'web', 'ipv4')).toEqual(['10.9.0.5']);
    names.setSandbox({ id: 's1', networks: ['n2', 'n1'] });
    expect(names.lookup('s1', 'web', 'ipv4')).toEqual(['10.8.0.5']);
    expect(names.lookup('s1', 'web.front', 'ipv4')).toEqual(['10.9.0.5']);
  });

  it('goes on to the next network when the first has no address of the family', () => {
    const names = table(
      { ...web, ipv6: undefined },
      { ...web, id: 'e2', networkId: 'n2', networkName: 'back', ipv4: undefined, ipv6: 'fd00::8' },
    );
    expect(names.lookup('s1', 'web', 'ipv6')).toEqual(['fd00::8']);
  });

  it('puts another address first each time, and names each address once', () => {
    const names = table(
      web,
      { ...web, id: 'e2', ipv4: '10.9.0.6' },
      { ...web, id: 'e3', ipv4: '10.9.0.7' },
      { ...web, id: 'e4', ipv4: '10.9.0.7' },
    );
    const firsts = [1, 2, 3, 4].map(() => {
      const found = names.lookup('s1', 'web', 'ipv4');
      expect([...(found ?? [])].sort()).toEqual(['10.9.0.5', '10.9.0.6', '10.9.0.7']);
      return found?.[0];
    });
    expect(firsts).toEqual(['10.9.0.5', '10.9.0.6', '10.9.0.7', '10.9.0.5']);
  });
});

describe('changes', () => {
  it('forgets an endpoint at once', () => {
    const names = table(web);
    names.removeEndpoint('e1');
    names.removeEndpoint('e1');
    expect(names.lookup('s1', 'web', 'ipv4')).toBeUndefined();
    expect(names.reverse('s1', '10.9.0.5')).toBeUndefined();
  });

  it('knows a renamed endpoint by its new name only', () => {
    const names = table(web);
    names.setEndpoint({ ...web, names: ['shop'] });
    expect(names.lookup('s1', 'web', 'ipv4')).toBeUndefined();
    expect(names.lookup('s1', 'shop', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.reverse('s1', '10.9.0.5')).toEqual(['shop.front']);
  });

  it('forgets a sandbox', () => {
    const names = table(web);
    names.removeSandbox('s1');
    expect(names.lookup('s1', 'web', 'ipv4')).toBeUndefined();
  });

  it('answers after any changes as a table built afresh from what is left', () => {
    const endpoint = fc.record({
      id: fc.constantFrom('e1', 'e2', 'e3', 'e4'),
      networkId: fc.constantFrom('n1', 'n2'),
      names: fc.uniqueArray(fc.constantFrom('a', 'b', 'c'), { minLength: 1 }),
      ipv4: fc.constantFrom('10.0.0.1', '10.0.0.2', '10.0.0.3', undefined),
      ipv6: fc.constantFrom('fd00::1', 'fd00::2', undefined),
    });
    const change = fc.oneof(
      endpoint.map((it) => ({ ...it, networkName: `${it.networkId}-name` })),
      fc.constantFrom('e1', 'e2', 'e3', 'e4'),
    );
    fc.assert(
      fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
        const left = new Map<string, EndpointNames>();
        const names = table();
        for (const it of changes) {
          if (typeof it === 'string') {
            left.delete(it);
            names.removeEndpoint(it);
          } else {
            left.delete(it.id);
            left.set(it.id, it);
            names.setEndpoint(it);
          }
        }
        const fresh = table(...left.values());
        for (const name of ['a', 'b', 'c', 'a.n1-name', 'b.n2-name'])
          for (const family of ['ipv4', 'ipv6'] as const) {
            const [one, other] = [names, fresh].map((it) => it.lookup('s1', name, family));
            expect(Array.isArray(one) ? one.toSorted() : one).toEqual(
              Array.isArray(other) ? other.toSorted() : other,
            );
          }
        for (const address of ['10.0.0.1', '10.0.0.2', 'fd00::1'])
          expect(names.reverse('s1', address)).toEqual(fresh.reverse('s1', address));
      }),
    );
  });
});

describe('aliases of a sandbox', () => {
  it('are known to it alone', () => {
    const names = table(web);
    names.setSandbox({ id: 's1', networks: ['n1'], aliases: { Shop: 'web' } });
    names.setSandbox({ id: 's2', networks: ['n1'] });
    expect(names.lookup('s1', 'shop', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s1', 'shop.front', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s2', 'shop', 'ipv4')).toBeUndefined();
  });

  it('may name the network of their target', () => {
    const names = table(web, { ...web, id: 'e2', networkId: 'n2', networkName: 'back', ipv4: '10.8.0.5' });
    names.setSandbox({ id: 's1', networks: ['n1', 'n2'], aliases: new Map([['db', 'web.back']]) });
    expect(names.lookup('s1', 'db', 'ipv4')).toEqual(['10.8.0.5']);
  });

  it('hide an endpoint of the same name', () => {
    const names = table(web, { ...web, id: 'e2', names: ['db'], ipv4: '10.9.0.6' });
    names.setSandbox({ id: 's1', networks: ['n1'], aliases: { web: 'db' } });
    expect(names.lookup('s1', 'web', 'ipv4')).toEqual(['10.9.0.6']);
  });

  it('end, when they name each other', () => {
    const names = table(web);
    names.setSandbox({ id: 's1', networks: ['n1'], aliases: { a: 'b', b: 'a' } });
    expect(names.lookup('s1', 'a', 'ipv4')).toBeUndefined();
  });
});

describe('reverse', () => {
  it('gives the first name and the network, for both families', () => {
    const names = table(web);
    expect(names.reverse('s1', '10.9.0.5')).toEqual(['Web.front']);
    expect(names.reverse('s1', 'fd00:0:0::5')).toEqual(['Web.front']);
    expect(names.reverse('s1', '10.9.0.6')).toBeUndefined();
    expect(names.reverse('s1', 'rubbish')).toBeUndefined();
  });
});

describe('services', () => {
  it('names port and addresses of every endpoint that has the service', () => {
    const services = [{ name: 'http', protocol: 'tcp', port: 8080 }] as const;
    const names = table({ ...web, services }, { ...web, id: 'e2', names: ['web'], ipv4: '10.9.0.6' });
    const expected = [{ target: 'Web.front', port: 8080, addresses: ['10.9.0.5', 'fd00::5'] }];
    expect(names.service('s1', '_http._tcp.web')).toEqual(expected);
    expect(names.service('s1', '_HTTP._tcp.web.front.')).toEqual(expected);
    expect(names.service('s1', '_http._udp.web')).toBeUndefined();
    expect(names.service('s1', '_http._tcp')).toBeUndefined();
  });
});

describe('static names of a network', () => {
  it('are found after the endpoints, wildcards last and the nearest first', () => {
    const names = table(web);
    names.setNetwork({
      id: 'n1',
      name: 'front',
      records: { web: ['10.1.1.1'], 'DB.example': ['10.1.1.2', 'fd00::2'] },
      wildcard: { 'apps.example': ['10.1.1.3'], 'x.apps.example': ['10.1.1.4'] },
    });
    expect(names.lookup('s1', 'web', 'ipv4')).toEqual(['10.9.0.5']);
    expect(names.lookup('s1', 'db.example', 'ipv4')).toEqual(['10.1.1.2']);
    expect(names.lookup('s1', 'db.example', 'ipv6')).toEqual(['fd00::2']);
    expect(names.lookup('s1', 'a.b.apps.example', 'ipv4')).toEqual(['10.1.1.3']);
    expect(names.lookup('s1', 'a.x.apps.example', 'ipv4')).toEqual(['10.1.1.4']);
    expect(names.lookup('s1', 'a.apps.example', 'ipv6')).toBe('no-such-type');
    expect(names.lookup('s1', 'apps.example', 'ipv4')).toBeUndefined();
    names.removeNetwork('n1');
    expect(names.lookup('s1', 'db.example', 'ipv4')).toBeUndefined();
    expect(names.lookup('s1', 'web', 'ipv4')).toEqual(['10.9.0.5']);
  });
});

describe('the policy of a network', () => {
  it('lets all names through by default, and none when told', () => {
    const names = table(web);
    names.setSandbox({ id: 's1', networks: ['n1'] });
    expect(names.mayForward('s1', 'a.example', 'host')).toBe(true);
    names.setNetwork({ id: 'n1', name: 'front', forward: 'none' });
    expect(names.mayForward('s1', 'a.example', 'host')).toBe(false);
    names.removeNetwork('n1');
    expect(names.mayForward('s1', 'a.example', 'host')).toBe(true);
  });

  it.each([
    ['registry.example', true],
    ['REGISTRY.example.', true],
    ['a.registry.example', false],
    ['a.lab.example', true],
    ['a.b.lab.example', true],
    ['lab.example', false],
    ['elsewhere', false],
  ])('with an allow-list decides on %s', (name, expected) => {
    const names = table(web);
    names.setSandbox({ id: 's1', networks: ['n1'] });
    names.setNetwork({ id: 'n1', name: 'front', allow: ['Registry.example', '*.lab.example'] });
    expect(names.mayForward('s1', name, 'host')).toBe(expected);
  });

  it('is that of the most generous of the networks', () => {
    const names = table(web, { ...web, id: 'e2', networkId: 'n2', networkName: 'back' });
    names.setNetwork({ id: 'n1', name: 'front', forward: 'none' });
    names.setSandbox({ id: 's1', networks: ['n1'] });
    expect(names.mayForward('s1', 'a.example', 'host')).toBe(false);
    names.setSandbox({ id: 's1', networks: ['n1', 'n2'] });
    expect(names.mayForward('s1', 'a.example', 'host')).toBe(true);
    names.setNetwork({ id: 'n2', name: 'back', allow: ['b.example'] });
    expect(['a.example', 'b.example'].map((name) => names.mayForward('s1', name, 'host'))).toEqual([
      false,
      true,
    ]);
  });

  /** Whether a name may be asked of servers of the host, and of servers that the sandbox reaches. */
  const ways = (names: NameTable, name: string) =>
    (['host', 'sandbox'] as const).map((way) => names.mayForward('s1', name, way));

  it('of an internal network keeps questions from the host, but not from servers inside', () => {
    const names = table();
    names.setSandbox({ id: 's1', networks: ['n1'] });
    names.setNetwork({ id: 'n1', name: 'front', internal: true });
    expect(ways(names, 'a.example')).toEqual([false, true]);
    names.setNetwork({ id: 'n1', name: 'front', internal: true, forward: 'servers' });
    expect(ways(names, 'a.example')).toEqual([true, true]);
    names.setNetwork({ id: 'n1', name: 'front', internal: true, forward: 'none' });
    expect(ways(names, 'a.example')).toEqual([false, false]);
  });

  it('is not widened by an internal network that says nothing', () => {
    const names = table();
    names.setSandbox({ id: 's1', networks: ['n1', 'n2'] });
    names.setNetwork({ id: 'n1', name: 'front', internal: true });
    names.setNetwork({ id: 'n2', name: 'back', allow: ['b.example'] });
    expect(ways(names, 'a.example')).toEqual([false, false]);
    expect(ways(names, 'b.example')).toEqual([true, true]);
  });

  it('lets a sandbox in no network ask nobody by the host', () => {
    const names = table();
    names.setSandbox({ id: 's1', networks: [] });
    expect(ways(names, 'a.example')).toEqual([false, true]);
  });
});
