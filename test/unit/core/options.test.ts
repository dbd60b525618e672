import { describe, expect, it } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { parseOptions } from '../../../src/options.ts';

const refused = (act: () => unknown): LibnetworkError => {
  try {
    act();
  } catch (error) {
    if (LibnetworkError.is(error)) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

const badNames = ['', '/', '..', 'a/b', 'a\0b', 'a\nb', ' a', '-a', 'é', 'a'.repeat(129), 7, null, undefined];
const badAddresses = [
  '',
  '10.9.0',
  '10.9.0.256',
  '10.9.0.1/24',
  '::g',
  'fe80::1%eth0',
  ' 10.9.0.1',
  '10.9.0.1\n',
  5,
];
const badSubnets = [
  '',
  '10.9.0.0',
  '10.9.0.1/24',
  '10.9.0.0/33',
  '10.9.0.0/-1',
  '10.9.0.0/024',
  '::/129',
  'x/24',
];
const badPaths = ['', 'a', './a', '/a/../b', '/a//b', '/a/', '/a\0b', '/a\nb', `/${'a'.repeat(5000)}`];

describe('parseOptions', () => {
  it('fills in the defaults of a network', () => {
    expect(parseOptions('network', { name: 'front' })).toMatchObject({
      driver: 'bridge',
      ipv4: true,
      ipv6: false,
      internal: false,
      labels: {},
      ipam: { driver: 'default', options: {}, pools: [] },
    });
  });

  it.each(badNames)('refuses the name %j, naming field and value', (name) => {
    expect(refused(() => parseOptions('network', { name }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'name',
      value: name,
    });
    expect(refused(() => parseOptions('endpoint', { name }))).toMatchObject({ field: 'name', value: name });
    expect(refused(() => parseOptions('sandbox', { containerId: name }))).toMatchObject({
      field: 'containerId',
      value: name,
    });
  });

  it.each(badSubnets)('refuses the subnet %j', (subnet) => {
    const error = refused(() => parseOptions('network', { name: 'a', ipam: { pools: [{ subnet }] } }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'ipam.pools.0.subnet', value: subnet });
  });

  it.each(badAddresses)('refuses the address %j', (address) => {
    expect(refused(() => parseOptions('endpoint', { name: 'a', ipv4: address }))).toMatchObject({
      field: 'ipv4',
      value: address,
    });
    expect(refused(() => parseOptions('endpoint', { name: 'a', ipv6: address }))).toMatchObject({
      field: 'ipv6',
      value: address,
    });
  });

  it.each(badPaths)('refuses the path %j', (path) => {
    expect(refused(() => parseOptions('sandbox', { containerId: 'c', hostsPath: path }))).toMatchObject({
      field: 'hostsPath',
      value: path,
    });
    expect(refused(() => parseOptions('controller', { runDir: path }))).toMatchObject({
      field: 'runDir',
      value: path,
    });
  });

  it.each([
    [{ subnet: '10.9.0.0/24', gateway: '10.8.0.1' }, 'gateway must lie inside the subnet'],
    [{ subnet: '10.9.0.0/24', ipRange: '10.9.0.0/16' }, 'ipRange must lie inside the subnet'],
    [{ ipRange: '10.9.0.0/16' }, 'ipRange needs a subnet'],
    [
      { subnet: '10.9.0.0/24', auxAddresses: { router: '10.8.0.2' } },
      'auxAddresses must lie inside the subnet',
    ],
  ])('refuses the pool %j', (pool, why) => {
    const error = refused(() => parseOptions('network', { name: 'a', ipam: { pools: [pool] } }));
    expect(error.code).toBe('INVALID_ARGUMENT');
    expect(error.message).toContain(why);
  });

  it.each([
    [{ interfaceName: 'eth0123456789012' }, 'interfaceName'],
    [{ interfaceName: 'a/b' }, 'interfaceName'],
    [{ interfaceName: '..' }, 'interfaceName'],
    [{ macAddress: '01:00:5e:00:00:01' }, 'macAddress'],
    [{ macAddress: '02:42:0a:09:00' }, 'macAddress'],
    [{ sysctls: { 'net.ipv4.ip_forward': '1' } }, 'sysctls.net.ipv4.ip_forward'],
    [{ aliases: ['bad name'] }, 'aliases.0'],
    [{ ports: [{ container: 0 }] }, 'ports.0.container'],
    [{ ports: [{ container: 80, host: 65536 }] }, 'ports.0.host'],
    [{ ports: [{ container: 80, protocol: 'icmp' }] }, 'ports.0.protocol'],
    [{ ports: [{ container: 80, hostAddress: 'lo' }] }, 'ports.0.hostAddress'],
    [{ gatewayPriority: 1.5 }, 'gatewayPriority'],
    [{ unknown: 1 }, 'unknown'],
  ])('refuses the endpoint option %j', (options, field) => {
    expect(refused(() => parseOptions('endpoint', { name: 'a', ...options }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field,
    });
  });

  it('refuses labels with control characters', () => {
    expect(refused(() => parseOptions('network', { name: 'a', labels: { key: 'a\nb' } })).code).toBe(
      'INVALID_ARGUMENT',
    );
    expect(refused(() => parseOptions('network', { name: 'a', labels: { 'a\0': 'b' } })).code).toBe(
      'INVALID_ARGUMENT',
    );
  });

  it('takes every valid form of an address and of a subnet', () => {
    for (const subnet of ['10.9.0.0/24', '0.0.0.0/0', '10.0.0.4/31', 'fd00::/64', '2001:db8::/127']) {
      expect(() =>
        parseOptions('network', { name: 'a', ipv6: true, ipam: { pools: [{ subnet }] } }),
      ).not.toThrow();
    }
  });
});
