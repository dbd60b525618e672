import type { EndpointOptions, NetworkController, PolicyRule, PortRequest } from '../../../src/index.ts';
import type { Random } from './random.ts';
import type { World } from './world.ts';

/** One call of the public surface, decided and not yet made. */
export interface Operation {
  readonly name: string;
  /** It makes something, all or nothing: a failure must change nothing. */
  readonly makes: boolean;
  run(): Promise<unknown>;
}

const NETWORKS = ['n0', 'n1', 'n2'];
const ENDPOINTS = ['e0', 'e1', 'e2', 'e3'];
export const CONTAINERS: readonly string[] = ['c0', 'c1', 'c2'];

/** Any operation, on objects that may be there or not: what can't be done must be refused. */
export function anyOperation(random: Random, controller: NetworkController, world: World): Operation {
  const network = random.pick(NETWORKS);
  const name = random.pick(ENDPOINTS);
  const container = random.pick(CONTAINERS);
  const endpoint = () => controller.network(network)?.endpoint(name);
  const sandbox = () => controller.sandbox(container);
  const of = (what: string, run: () => Promise<unknown> | undefined, makes = false): Operation => ({
    name: what,
    makes,
    run: async () => run(),
  });
  const ports = portsOf(random);
  const priority = random.below(3);
  const force = random.chance(0.5);
  const service = serviceOf(random);
  const enabled = random.chance(0.5);
  const kinds: readonly (() => Operation)[] = [
    ...Array.from({ length: 2 }, () => () => {
      const wanted = networkOptions(network, controller.instance);
      return of(`create network ${network}`, () => controller.createNetwork(wanted), true);
    }),
    () => of(`delete network ${network}`, () => controller.network(network)?.delete()),
    () => of(`create sandbox ${container}`, () => createSandbox(controller, container), true),
    () => of(`create sandbox ${container}`, () => createSandbox(controller, container), true),
    () => of(`delete sandbox ${container}`, () => sandbox()?.delete()),
    ...Array.from({ length: 4 }, () => () => {
      const options: EndpointOptions = { name, ports, gatewayPriority: priority, service };
      return of(
        `create endpoint ${name} of ${network}`,
        () => controller.network(network)?.createEndpoint(options),
        true,
      );
    }),
    ...Array.from(
      { length: 6 },
      () => () =>
        of(
          `join ${name} of ${network} to ${container}`,
          () => {
            const [end, box] = [endpoint(), sandbox()];
            return end && box && end.join(box, { priority });
          },
          true,
        ),
    ),
    ...Array.from(
      { length: 2 },
      () => () =>
        of(`leave ${name} of ${network} from ${container}`, () => {
          const [end, box] = [endpoint(), sandbox()];
          return end && box && end.leave(box);
        }),
    ),
    () =>
      of(`delete endpoint ${name} of ${network}${force ? ' by force' : ''}`, () =>
        endpoint()?.delete({ force }),
      ),
    () => of(`update endpoint ${name} of ${network}`, () => endpoint()?.update({ ports })),
    () =>
      of(`update labels and limits of ${name} of ${network}`, () =>
        endpoint()?.update({ labels: { role: name }, limits: force ? { egress: 1_000_000 } : {} }),
      ),
    () =>
      of(`update the policy of ${network}`, () =>
        controller.network(network)?.update({ policy: force ? [policyOf(priority, name)] : [] }),
      ),
    () =>
      of(`${enabled ? 'enable' : 'drain'} endpoint ${name} of ${network}`, () =>
        endpoint()?.update({ service: { enabled } }),
      ),
    () =>
      of(`update network ${network}`, () => controller.network(network)?.update({ labels: { at: name } })),
    () => of(`rename ${container}`, () => sandbox()?.rename(`r-${container}`)),
    () => of(`refresh ${container}`, () => sandbox()?.refresh({ hostname: name })),
    () => of(`set the key of ${container}`, () => sandbox()?.setKey(world.runtimePath(container))),
    () => of('reconcile', () => controller.reconcile()),
  ];
  return random.pick(kinds)();
}

/** By labels, by name, or by address. */
function policyOf(kind: number, name: string): PolicyRule {
  const from = [{ labels: { role: name } }, { endpoint: name }, '10.0.0.0/8'][kind] ?? 'outside';
  return { from, ports: [{ protocol: 'tcp', port: 80 }], action: 'deny' };
}

/** The same network has the same shape each time, so that its name tells what it is. */
function networkOptions(name: string, instance: string) {
  const ipv6 = name !== 'n1';
  const third = instance === 'default' ? 9 : 8;
  const pools = name === 'n0' ? [{ subnet: `10.${third}.0.0/24` }, { subnet: `fd00:${third}::/64` }] : [];
  return { name, ipv6, internal: name === 'n2', ipam: { pools } };
}

/** A service has one mode; most endpoints belong to one. */
function serviceOf(random: Random): EndpointOptions['service'] {
  const name = random.pick(['s0', 's1', 'none']);
  return name === 'none' ? undefined : { name, mode: name === 's0' ? 'vip' : 'dnsrr' };
}

/** Two make their own namespace, the third waits for its runtime's. */
function createSandbox(controller: NetworkController, containerId: string): Promise<unknown> {
  return controller.createSandbox({ containerId, hostname: containerId, externalKey: containerId === 'c2' });
}

function portsOf(random: Random): readonly PortRequest[] {
  const count = random.below(3);
  return Array.from({ length: count }, (_, i) => ({
    protocol: random.pick(['tcp', 'udp'] as const),
    container: 80 + i,
    // Few enough that endpoints often want the same one.
    ...(random.chance(0.5) ? { host: 8080 + i + random.below(2) } : {}),
  }));
}
