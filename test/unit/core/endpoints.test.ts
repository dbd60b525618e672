import { describe, expect, it } from 'vitest';
import { type EndpointId, newId, vethName } from '../../../src/ids.ts';
import type { Network } from '../../../src/index.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import {
  everything,
  expectNothingToRepair,
  refusal,
  restart,
  type Setting,
  setUp,
  traces,
} from './setting.ts';

interface Front extends Setting {
  readonly front: Network;
}

async function withFront(): Promise<Front> {
  const setting = await setUp();
  const front = await setting.controller.createNetwork({
    name: 'front',
    ipv6: true,
    ipam: { pools: [{ subnet: '10.9.0.0/24' }, { subnet: 'fd00:9::/64' }] },
  });
  return { ...setting, front };
}

const box = ({ controller }: Setting, containerId = 'c1') => controller.createSandbox({ containerId });

describe('an endpoint', () => {
  it('takes an address of each family and a MAC address, and shows them frozen', async () => {
    const setting = await withFront();
    const web = await setting.front.createEndpoint({ name: 'web', aliases: ['www'] });
    expect(web).toMatchObject({
      name: 'web',
      networkId: setting.front.id,
      sandboxId: undefined,
      ipv4: '10.9.0.2/24',
      ipv6: 'fd00:9::2/64',
      interfaceName: undefined,
      aliases: ['www'],
      ports: [],
    });
    expect(web.macAddress).toMatch(/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/);
    expect(Object.isFrozen(web.aliases) && Object.isFrozen(web.ports)).toBe(true);
    expect(setting.front.endpoint('web')).toBe(web);
    expect(setting.front.endpoint(web.id)).toBe(web);
    expect(setting.front.endpoint('other')).toBeUndefined();
    expect(setting.front.endpoints()).toEqual([web]);
  });

  it('gets the addresses and the MAC address that it asks for', async () => {
    const { front } = await withFront();
    const wanted = { ipv4: '10.9.0.77', ipv6: 'fd00:9::77', macAddress: '02:42:0A:09:00:77' };
    expect(await front.createEndpoint({ name: 'web', ...wanted })).toMatchObject({
      ipv4: '10.9.0.77/24',
      ipv6: 'fd00:9::77/64',
      macAddress: '02:42:0a:09:00:77',
    });
  });

  it.each([
    [{ ipv4: '10.8.0.5' }, 'ipv4', 'INVALID_ARGUMENT', 'belongs to no subnet'],
    [{ ipv6: 'fd00:8::5' }, 'ipv6', 'INVALID_ARGUMENT', 'belongs to no subnet'],
  ])('is refused the address %j', async (wanted, field, code, why) => {
    const setting = await withFront();
    const before = await everything(setting);
    const error = await refusal(setting.front.createEndpoint({ name: 'web', ...wanted }));
    expect(error).toMatchObject({ code, field, value: Object.values(wanted)[0] });
    expect(error.message).toContain(why);
    expect(await everything(setting)).toEqual(before);
  });

  it('takes its interface’s name and sysctls from the options that Docker’s clients send', async () => {
    const setting = await withFront();
    const c1 = await box(setting);
    const options = {
      'com.docker.network.endpoint.ifname': 'web0',
      'com.docker.network.endpoint.sysctls':
        'net.ipv4.conf.IFNAME.log_martians=1, net.ipv6.conf.IFNAME.accept_ra=0',
    };
    const web = await setting.front.createEndpoint({ name: 'web', options });
    await web.join(c1);
    expect(web).toMatchObject({ interfaceName: 'web0', options });
    const namespace = await setting.osl.openNamespace(c1.namespacePath);
    expect(await namespace.sysctl('net/ipv4/conf/web0/log_martians')).toBe('1');
    expect(await namespace.sysctl('net/ipv6/conf/web0/accept_ra')).toBe('0');
    await web.leave(c1);
    const named = await setting.front.createEndpoint({ name: 'named', options, interfaceName: 'own0' });
    await named.join(c1);
    expect(named.interfaceName).toBe('own0');
  });

  it.each([
    ['ifname', 'much-too-long-a-name', 'interfaceName'],
    ['sysctls', 'kernel.hostname=x', 'sysctls.kernel.hostname'],
    ['sysctls', 'net.ipv4.conf.IFNAME.forwarding', 'com.docker.network.endpoint.sysctls'],
  ])('is refused the option %s=%s', async (key, value, field) => {
    const { front } = await withFront();
    const options = { [`com.docker.network.endpoint.${key}`]: value };
    const error = await refusal(front.createEndpoint({ name: 'web', options }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field });
  });

  it('shows where its default routes lead while it is joined', async () => {
    const setting = await withFront();
    const web = await setting.front.createEndpoint({ name: 'web', gatewayPriority: 3 });
    expect(web.gateways).toEqual({});
    const c1 = await box(setting);
    await web.join(c1, { priority: 7 });
    expect(web.gateways).toEqual({ ipv4: '10.9.0.1', ipv6: 'fd00:9::1' });
    expect(web.gatewayPriority).toBe(7);
    await web.leave(c1);
    expect([web.gateways, web.gatewayPriority]).toEqual([{}, 3]);
  });

  it('is refused an address of a family that the network has not', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'only4' });
    const error = await refusal(network.createEndpoint({ name: 'web', ipv6: 'fd00::5' }));
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', field: 'ipv6', value: 'fd00::5' });
  });

  it('is refused an address that another one has, naming it', async () => {
    const setting = await withFront();
    await setting.front.createEndpoint({ name: 'web', ipv4: '10.9.0.77' });
    const before = await traces(setting);
    expect(await refusal(setting.front.createEndpoint({ name: 'job', ipv4: '10.9.0.77' }))).toMatchObject({
      code: 'FORBIDDEN',
      holder: expect.stringContaining('web'),
    });
    expect(await traces(setting)).toEqual(before);
  });

  it('has a name that no other endpoint of the network has', async () => {
    const setting = await withFront();
    const web = await setting.front.createEndpoint({ name: 'web' });
    const before = await everything(setting);
    const error = await refusal(setting.front.createEndpoint({ name: 'web' }));
    expect(error).toMatchObject({
      code: 'ALREADY_EXISTS',
      field: 'name',
      value: 'web',
      holder: `endpoint ${web.id}`,
    });
    expect(error.message).toContain('endpoint with name web already exists in network front');
    expect(await everything(setting)).toEqual(before);
    const other = await setting.controller.createNetwork({ name: 'other' });
    await other.createEndpoint({ name: 'web' });
  });

  it('is refused an address where its network gives none', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'none', driver: 'null' });
    expect(await refusal(network.createEndpoint({ name: 'e', ipv4: '10.9.0.5' }))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'ipv4',
    });
  });

  it('is refused where its network is full, and takes the address that comes free', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({
      name: 'small',
      ipam: { pools: [{ subnet: '10.9.0.0/30' }] },
    });
    const first = await network.createEndpoint({ name: 'a' });
    expect(first.ipv4).toBe('10.9.0.2/30');
    expect(await refusal(network.createEndpoint({ name: 'b' }))).toMatchObject({ code: 'UNAVAILABLE' });
    await first.delete();
    expect((await network.createEndpoint({ name: 'b' })).ipv4).toBe('10.9.0.2/30');
  });

  it('gives its addresses back', async () => {
    const { front } = await withFront();
    const web = await front.createEndpoint({ name: 'web', ipv4: '10.9.0.77', ipv6: 'fd00:9::77' });
    await web.delete();
    await front.createEndpoint({ name: 'web', ipv4: '10.9.0.77', ipv6: 'fd00:9::77' });
    expect(await refusal(web.delete())).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('comes back after a restart as it was', async () => {
    const setting = await withFront();
    const { id, ipv4, ipv6, macAddress } = await setting.front.createEndpoint({
      name: 'web',
      aliases: ['w'],
    });
    const after = (await restart(setting)).controller.network('front')?.endpoint('web');
    expect(after).toMatchObject({ id, ipv4, ipv6, macAddress, aliases: ['w'], sandboxId: undefined });
  });

  it('is none of a network that is gone', async () => {
    const { controller } = await setUp();
    const network = await controller.createNetwork({ name: 'front' });
    await network.delete();
    expect(await refusal(network.createEndpoint({ name: 'web' }))).toMatchObject({ code: 'NOT_FOUND' });
  });
});

describe('joining a sandbox', () => {
  it('gives it an interface with the addresses, the routes and the name', async () => {
    const setting = await withFront();
    const sandbox = await box(setting);
    const web = await setting.front.createEndpoint({ name: 'web' });
    await web.join(sandbox, { aliases: ['later'] });
    expect(web).toMatchObject({ sandboxId: sandbox.id, interfaceName: 'eth0', aliases: ['later'] });
    expect(sandbox.endpoints()).toEqual([web]);
    const inside = await setting.osl.openNamespace(sandbox.namespacePath);
    expect(await inside.link('eth0')).toMatchObject({ up: true, macAddress: web.macAddress });
    expect((await inside.addresses('eth0')).map(({ address }) => address)).toEqual(
      expect.arrayContaining(['10.9.0.2/24', 'fd00:9::2/64']),
    );
    const routes = (await inside.routes()).filter(({ destination }) => destination === 'default');
    expect(routes.map(({ gateway }) => gateway).sort()).toEqual(['10.9.0.1', 'fd00:9::1']);
    expect(Object.keys(await sandbox.statistics())).toEqual(['eth0']);
    await expectNothingToRepair(setting);
  });

  it('is refused while it is joined, whichever the sandbox', async () => {
    const setting = await withFront();
    const [first, second] = [await box(setting, 'c1'), await box(setting, 'c2')];
    const web = await setting.front.createEndpoint({ name: 'web' });
    await web.join(first);
    const before = await everything(setting);
    for (const sandbox of [first, second]) {
      const error = await refusal(web.join(sandbox));
      expect(error).toMatchObject({ code: 'FORBIDDEN', holder: `sandbox ${first.id}` });
      expect(error.message).toContain('another container is attached');
    }
    expect(await everything(setting)).toEqual(before);
  });

  it('is refused to a sandbox or an endpoint that is gone', async () => {
    const setting = await withFront();
    const [gone, there] = [await box(setting, 'c1'), await box(setting, 'c2')];
    await gone.delete();
    const web = await setting.front.createEndpoint({ name: 'web' });
    expect(await refusal(web.join(gone))).toMatchObject({ code: 'NOT_FOUND', field: 'sandbox' });
    await web.delete();
    expect(await refusal(web.join(there))).toMatchObject({ code: 'NOT_FOUND' });
  });

  it('is refused to a sandbox on the host, where links would be the host’s', async () => {
    const setting = await withFront();
    const host = await setting.controller.createSandbox({ containerId: 'h', namespacePath: 'host' });
    const web = await setting.front.createEndpoint({ name: 'web' });
    expect(await refusal(web.join(host))).toMatchObject({ code: 'FORBIDDEN' });
  });

  it('numbers interfaces with the lowest that is free, or names them as asked', async () => {
    const setting = await withFront();
    const sandbox = await box(setting);
    const join = async (name: string, options = {}) => {
      const network = await setting.controller.createNetwork({ name: `net-${name}`, ...options });
      const endpoint = await network.createEndpoint({ name });
      await endpoint.join(sandbox);
      return endpoint;
    };
    const [a, b] = [await join('a'), await join('b')];
    expect([a.interfaceName, b.interfaceName]).toEqual(['eth0', 'eth1']);
    await a.leave(sandbox);
    expect((await join('c')).interfaceName).toBe('eth0');
    const prefix = { options: { 'com.docker.network.container_iface_prefix': 'lan' } };
    expect((await join('d', prefix)).interfaceName).toBe('lan0');
    const named = await setting.front.createEndpoint({ name: 'x', interfaceName: 'uplink' });
    await named.join(sandbox);
    expect(named.interfaceName).toBe('uplink');
    const again = await setting.front.createEndpoint({ name: 'y', interfaceName: 'uplink' });
    expect(await refusal(again.join(sandbox))).toMatchObject({
      code: 'CONFLICT',
      field: 'interfaceName',
      value: 'uplink',
    });
    await expectNothingToRepair(setting);
  });

  it('sets the interface’s own sysctls', async () => {
    const setting = await withFront();
    const sandbox = await box(setting);
    const web = await setting.front.createEndpoint({
      name: 'web',
      sysctls: { 'net.ipv4.conf.IFNAME.forwarding': '1' },
    });
    await web.join(sandbox);
    const inside = await setting.osl.openNamespace(sandbox.namespacePath);
    expect(await inside.sysctl('net/ipv4/conf/eth0/forwarding')).toBe('1');
  });

  it.each([
    {
      key: 'net.ipv4.conf.IFNAME.no_such',
      value: '1',
      field: 'sysctls',
      refused: 'net.ipv4.conf.IFNAME.no_such',
    },
  ])('refuses $key, which the kernel does not know, naming it', async ({ key, value, field, refused }) => {
    const setting = await withFront();
    const sandbox = await box(setting);
    const web = await setting.front.createEndpoint({ name: 'web', sysctls: { [key]: value } });
    const before = await traces(setting);
    expect(await refusal(web.join(sandbox))).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field,
      value: refused,
    });
    expect(await traces(setting)).toEqual(before);
    await expectNothingToRepair(setting);
  });

  it('leaves a null network’s sandbox without a link', async () => {
    const setting = await setUp();
    const sandbox = await box(setting);
    const network = await setting.controller.createNetwork({ name: 'none', driver: 'null' });
    const endpoint = await network.createEndpoint({ name: 'e' });
    await endpoint.join(sandbox);
    const inside = await setting.osl.openNamespace(sandbox.namespacePath);
    expect((await inside.links()).map(({ name }) => name)).toEqual(['lo']);
  });
});

describe('leaving a sandbox', () => {
  it('takes the interface away, keeps the addresses, and may be followed by another join', async () => {
    const setting = await withFront();
    const [first, second] = [await box(setting, 'c1'), await box(setting, 'c2')];
    const web = await setting.front.createEndpoint({ name: 'web' });
    await web.join(first);
    await web.leave(first);
    expect(web).toMatchObject({ sandboxId: undefined, interfaceName: undefined, ipv4: '10.9.0.2/24' });
    expect(first.endpoints()).toEqual([]);
    await web.join(second);
    expect(second.endpoints()).toEqual([web]);
    await expectNothingToRepair(setting);
  });

  it('is refused to one that is not joined, or joined elsewhere', async () => {
    const setting = await withFront();
    const [first, second] = [await box(setting, 'c1'), await box(setting, 'c2')];
    const web = await setting.front.createEndpoint({ name: 'web' });
    const alone = await refusal(web.leave(first));
    expect(alone.code).toBe('FORBIDDEN');
    expect(alone.message).toContain('no attached sandbox');
    await web.join(first);
    expect(await refusal(web.leave(second))).toMatchObject({
      code: 'FORBIDDEN',
      holder: `sandbox ${first.id}`,
    });
  });
});

describe('deleting an endpoint', () => {
  it('is refused while it is joined, unless by force', async () => {
    const setting = await withFront();
    const sandbox = await box(setting);
    const before = await traces(setting);
    const web = await setting.front.createEndpoint({ name: 'web' });
    await web.join(sandbox);
    expect(await refusal(web.delete())).toMatchObject({
      code: 'FORBIDDEN',
      holder: `sandbox ${sandbox.id}`,
    });
    await web.delete({ force: true });
    expect(sandbox.endpoints()).toEqual([]);
    expect(await traces(setting)).toEqual(before);
  });

  const things = ['record', 'namespace', 'link'] as const;
  const subsets = Array.from({ length: 8 }, (_, bits) => things.filter((_, i) => bits & (1 << i)));

  it.each(subsets.map((missing) => [missing.join(', ') || 'nothing', missing] as const))(
    'works by force and by the id alone where this is missing: %s',
    async (_, missing) => {
      const setting = await withFront();
      const sandbox = await box(setting);
      const web = await setting.front.createEndpoint({
        name: 'web',
        ports: [{ protocol: 'tcp', container: 80, host: 8080 }],
      });
      await web.join(sandbox);
      await setting.world.vandalise({ endpointId: web.id, sandbox, missing });
      await setting.controller.deleteEndpoint(web.id, { force: true });
      expect(setting.front.endpoints()).toEqual([]);
      expect((await setting.world.keys()).filter((key) => key.includes(web.id))).toEqual([]);
      expect(JSON.stringify(setting.world.dump())).not.toContain(web.id);
      await setting.front.createEndpoint({ name: 'web', ipv4: '10.9.0.2', ipv6: 'fd00:9::2' });
      await sandbox.delete();
      await expectNothingToRepair(setting);
    },
  );

  it('works by force also in a process that never knew it, whatever is left of it', async () => {
    const setting = await withFront();
    const web = await setting.front.createEndpoint({ name: 'web' });
    const { controller } = await restart(setting);
    expect(controller.endpoint(web.id)?.name).toBe('web');
    const stranger = newId<EndpointId>();
    expect(controller.endpoint(stranger)).toBeUndefined();
    expect(await refusal(controller.deleteEndpoint(stranger))).toMatchObject({ code: 'NOT_FOUND' });
    const osl = fakeOsl({ kernel: setting.world.kernel });
    const alias = `libnetwork:${controller.instance}:${stranger}`;
    await osl.host.apply([{ op: 'createLink', name: vethName(stranger), link: { kind: 'dummy' }, alias }]);
    await controller.deleteEndpoint(stranger, { force: true });
    await controller.deleteEndpoint(stranger, { force: true });
    expect(await osl.host.link(vethName(stranger))).toBeUndefined();
    await osl.close();
  });
});
