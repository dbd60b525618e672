import { describe, expect, it } from 'vitest';
import { type BridgeConfig, parseConfig } from '../../../src/drivers/bridge/config.ts';
import { Networks } from '../../../src/drivers/bridge/networks.ts';
import { labels } from '../../../src/labels.ts';
import { network } from './setting.ts';

const withOptions = (options: Record<string, string | number | boolean>, more = {}) =>
  parseConfig(network({ options, ...more }));
const refused = (field: string) => expect.objectContaining({ code: 'INVALID_ARGUMENT', field });
const pool6 = (subnet: string) => ({ ipv6: [{ subnet, gateway: undefined, auxAddresses: {} }] });

describe('the options of a bridge network', () => {
  it('have defaults', () => {
    const config = parseConfig(network());
    expect(config).toMatchObject({ mtu: undefined, icc: true, internal: false });
    expect(config.bridge).toBe(`br-${config.id.slice(0, 12)}`);
    expect(config.ipv4).toMatchObject({
      address: '10.9.0.1/24',
      gateway: '10.9.0.1',
      mode: 'nat',
      masquerade: true,
      hostBinding: '0.0.0.0',
    });
    expect(config.ipv6).toMatchObject({ address: 'fd00:9::1/64', gateway: 'fd00:9::1', hostBinding: '::' });
  });

  it('are read from labels, as texts or as values', () => {
    const config = withOptions({
      [labels.bridge.name]: 'br-front',
      [labels.bridge.enableIcc]: 'false',
      [labels.bridge.enableIpMasquerade]: true,
      [labels.bridge.hostBinding.ipv4]: '127.0.0.1',
      [labels.bridge.hostBinding.ipv6]: '::1',
      [labels.bridge.gatewayMode.ipv6]: 'routed',
      [labels.hostAddress.ipv4]: '192.0.2.1',
      [labels.driver.mtu]: '9000',
      'com.docker.network.container_iface_prefix': 'net',
      'org.example.mine': 'anything',
    });
    expect(config).toMatchObject({ bridge: 'br-front', icc: false, mtu: 9000 });
    expect(config.ipv4).toMatchObject({ hostBinding: '127.0.0.1', masquerade: '192.0.2.1', mode: 'nat' });
    expect(config.ipv6).toMatchObject({ hostBinding: '::1', masquerade: true, mode: 'routed' });
  });

  it('name the default bridge docker0', () => {
    expect(withOptions({ [labels.bridge.defaultBridge]: 'true' }).bridge).toBe('docker0');
  });

  it('publish in no IPv6 where IPv4 is bound to a certain address and IPv6 to none', () => {
    expect(withOptions({ [labels.bridge.hostBinding.ipv4]: '127.0.0.1' }).ipv6?.hostBinding).toBeUndefined();
    expect(withOptions({ [labels.bridge.hostBinding.ipv4]: '0.0.0.0' }).ipv6?.hostBinding).toBe('::');
  });

  it.each([
    ['com.docker.network.bridge.nmae', 'br0'],
    [labels.bridge.enableIcc, 'perhaps'],
    [labels.bridge.gatewayMode.ipv4, 'X'],
    [labels.bridge.gatewayMode.ipv4, 'isolated'],
    [labels.bridge.hostBinding.ipv4, '::1'],
    [labels.bridge.hostBinding.ipv4, 'here'],
    [labels.hostAddress.ipv6, '192.0.2.1'],
    [labels.driver.mtu, '-2'],
    [labels.driver.mtu, '67'],
    [labels.driver.mtu, '1279'],
    [labels.driver.mtu, '65536'],
    [labels.bridge.name, 'sixteen-letters-'],
    [labels.bridge.name, 'a b'],
    [labels.bridge.name, 'a/b'],
    [labels.bridge.name, '..'],
    [labels.bridge.name, '-x'],
    [labels.bridge.name, 'all'],
    [labels.bridge.name, 'lo'],
    [labels.bridge.vlanFiltering, 'perhaps'],
    [labels.bridge.trustedHostInterfaces, 'eth0:a b'],
  ])('are refused by name: %s=%s', (key, value) => {
    expect(() => withOptions({ [key]: value })).toThrow(refused(key));
  });

  it('list the interfaces that are trusted between colons, where empty places mean nothing', () => {
    expect(withOptions({ [labels.bridge.trustedHostInterfaces]: ':foo0::bar1:foo0:' }).trusted).toEqual([
      'foo0',
      'bar1',
    ]);
    expect(withOptions({}).trusted).toEqual([]);
  });

  it('name an address of the host for what leaves, for each family by itself', () => {
    const config = withOptions({
      [labels.hostAddress.ipv4]: '192.0.2.9',
      [labels.bridge.hostAddress.ipv6]: '2001:db8::9',
    });
    expect([config.ipv4?.masquerade, config.ipv6?.masquerade]).toEqual(['192.0.2.9', '2001:db8::9']);
    const off = withOptions({
      [labels.hostAddress.ipv4]: '192.0.2.9',
      [labels.bridge.enableIpMasquerade]: 'false',
    });
    expect([off.ipv4?.masquerade, off.ipv6?.masquerade]).toEqual([false, false]);
  });

  it('are refused with the list of the known ones', () => {
    expect(() => withOptions({ 'com.docker.network.bridge.x': 1 })).toThrow('enable_icc');
  });

  it('allow the least MTU of the families that there are', () => {
    expect(withOptions({ [labels.driver.mtu]: '68' }, { ipv6: [] }).mtu).toBe(68);
    expect(withOptions({ [labels.driver.mtu]: '0' }).mtu).toBeUndefined();
  });
});

describe('the pools of a bridge network', () => {
  it('may be missing as yet', () => {
    const config = parseConfig(network({ ipv4: [], ipv6: [] }));
    expect(config).toMatchObject({ ipv4: undefined, ipv6: undefined });
  });

  it('give an internal network no gateway for its containers, and no masquerading', () => {
    const { ipv4, ipv6 } = parseConfig(network({ internal: true }));
    expect(ipv4).toMatchObject({ address: '10.9.0.1/24', gateway: undefined, masquerade: false });
    expect(ipv6).toMatchObject({ address: 'fd00:9::1/64', gateway: undefined, masquerade: false });
  });

  it('give an isolated bridge, and one that inhibits it, no address', () => {
    const isolated = withOptions({ [labels.bridge.gatewayMode.ipv4]: 'isolated' }, { internal: true });
    expect(isolated.ipv4?.address).toBeUndefined();
    expect(isolated.ipv6?.address).toBe('fd00:9::1/64');
    const inhibited = withOptions({ [labels.bridge.inhibitIpv4]: 'true' });
    expect(inhibited.ipv4).toMatchObject({ address: undefined, gateway: '10.9.0.1' });
  });

  it('let an auxiliary address choose the gateway of the containers', () => {
    const auxAddresses = { DefaultGatewayIPv4: '10.9.0.254/24', router: '10.9.0.9' };
    const config = parseConfig(
      network({ ipv4: [{ subnet: '10.9.0.0/24', gateway: '10.9.0.1/24', auxAddresses }] }),
    );
    expect(config.ipv4).toMatchObject({ address: '10.9.0.1/24', gateway: '10.9.0.254' });
  });

  it('let none choose a gateway where the containers have none', () => {
    const auxAddresses = { DefaultGatewayIPv4: '10.9.0.254' };
    const internal = network({
      internal: true,
      ipv4: [{ subnet: '10.9.0.0/24', gateway: undefined, auxAddresses }],
    });
    expect(() => parseConfig(internal)).toThrow(refused('ipam.pools.auxAddresses.DefaultGatewayIPv4'));
  });

  it('are one for each family', () => {
    const second = { subnet: '10.10.0.0/24', gateway: undefined, auxAddresses: {} };
    const two = network({ ipv4: [...network().ipv4, second] });
    expect(() => parseConfig(two)).toThrow(
      expect.objectContaining({ code: 'FORBIDDEN', value: '10.10.0.0/24' }),
    );
  });

  it.each(['0.0.0.0/0', '10.9.0.1/24', 'fd00::/64', '127.5.0.0/24', '224.1.0.0/24', 'nonsense'])(
    'refuse the IPv4 subnet %s',
    (subnet) => {
      const bad = network({ ipv4: [{ subnet, gateway: undefined, auxAddresses: {} }] });
      expect(() => parseConfig(bad)).toThrow(refused('ipam.pools.subnet'));
    },
  );

  it.each(['2001:db8::/32', 'fe80::/64', 'fe80:1234::/80', 'fd00::/8'])(
    'accept the IPv6 subnet %s',
    (subnet) => {
      expect(parseConfig(network(pool6(subnet))).ipv6).toBeDefined();
    },
  );

  it.each([
    '::/0',
    'fe80::/63',
    'fe80::/65',
    '2000:db8::',
    '10.3.4.0/24',
    '::ffff:10.2.4.0/120',
    'ff05::/64',
    '::1/128',
    'x',
  ])('refuse the IPv6 subnet %s', (subnet) => {
    expect(() => parseConfig(network(pool6(subnet)))).toThrow(refused('ipam.pools.subnet'));
  });

  it('refuse a gateway outside the subnet', () => {
    const bad = network({
      ipv4: [{ subnet: '172.28.0.0/16', gateway: '172.27.30.234/16', auxAddresses: {} }],
    });
    expect(() => parseConfig(bad)).toThrow(refused('ipam.pools.gateway'));
  });
});

describe('the mark of what may come in', () => {
  it.each([
    ['1', { value: 1, mask: 0xffffffff }],
    ['0xFF', { value: 255, mask: 0xffffffff }],
    ['017/0xff', { value: 15, mask: 255 }],
    ['0xffffffff', { value: 0xffffffff, mask: 0xffffffff }],
    ['0', { value: 0, mask: 0xffffffff }],
  ])('is read as Docker reads it: %s', (text, mark) => {
    expect(withOptions({ [labels.bridge.acceptFwmark]: text }).accepted).toEqual(mark);
  });

  it.each(['x', '1/', '/1', '1/2/3', '0x1ffffffff', '-1', '08', '1/2'])('is refused: %s', (text) => {
    expect(() => withOptions({ [labels.bridge.acceptFwmark]: text })).toThrow(
      refused(labels.bridge.acceptFwmark),
    );
  });
});

describe('two networks', () => {
  const named = (name: string, bridge: string, ipv4: string, ipv6: string) =>
    parseConfig(
      network({
        name,
        options: { [labels.bridge.name]: bridge },
        ipv4: [{ subnet: ipv4, gateway: undefined, auxAddresses: {} }],
        ipv6: [{ subnet: ipv6, gateway: undefined, auxAddresses: {} }],
      }),
    );
  const one = named('one', 'br-one', '10.9.0.0/24', 'fd00:1::/64');

  it.each([
    ['bridge', named('two', 'br-one', '10.8.0.0/24', 'fd00:2::/64')],
    ['IPv4 subnet', named('two', 'br-two', '10.8.0.0/15', 'fd00:2::/64')],
    ['IPv6 subnet', named('two', 'br-two', '10.8.0.0/24', 'fd00:1:0:0:8000::/65')],
  ])('conflict in their %s, and both are named', (_what, two) => {
    const networks = known(one, named('else', 'br-else', '10.7.0.0/24', 'fd00:7::/64'));
    expect(() => networks.checkConflicts(two)).toThrow(expect.objectContaining({ code: 'CONFLICT' }));
    expect(() => networks.checkConflicts(two)).toThrow(/network two .*network one/);
    networks.delete(one.id);
    networks.checkConflicts(two);
  });

  it('do not conflict with themselves or with others', () => {
    known(one, named('two', 'br-two', '10.8.0.0/24', 'fd00:2::/64')).checkConflicts(one);
  });
});

function known(...configs: readonly BridgeConfig[]): Networks {
  const networks = new Networks();
  for (const config of configs) networks.set({ config, joined: new Map() });
  return networks;
}
