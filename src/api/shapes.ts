/**
 * What answers look like, by name: for the OpenAPI document alone, and loaded with it. That answers are so is held by
 * a test, as nothing here writes or checks them.
 */

export type Shape = Readonly<Record<string, unknown>>;

export const text = { type: 'string' } as const;
export const texts = { type: 'array', items: text } as const;
const number = { type: 'number' } as const;
const count = { type: 'integer', minimum: 0 } as const;
const flag = { type: 'boolean' } as const;
const time = { type: 'string', format: 'date-time' } as const;
const map = { type: 'object', additionalProperties: text } as const;
const values = { type: 'object', additionalProperties: { type: ['string', 'number', 'boolean'] } } as const;
const open = { type: 'object' } as const;

export const ref = (name: string): Shape => ({ $ref: `#/components/schemas/${name}` });
export const listOf = (name: string): Shape => ({ type: 'array', items: ref(name) });
const choice = (...allowed: readonly string[]) => ({ type: 'string', enum: allowed });
const mapOf = (shape: Shape): Shape => ({ type: 'object', additionalProperties: shape });

/** What is always there, and what may be; nothing else is. */
function exactly(always: Shape, maybe: Shape = {}): Shape {
  const properties = { ...always, ...maybe };
  return { type: 'object', required: Object.keys(always), properties, additionalProperties: false };
}

/** What is always there, beside whatever else Docker may have. */
function atLeast(always: Shape, maybe: Shape = {}): Shape {
  return { type: 'object', required: Object.keys(always), properties: { ...always, ...maybe } };
}

const binding = {
  protocol: choice('tcp', 'udp', 'sctp'),
  container: { type: 'integer' },
  host: { type: 'integer' },
  hostAddress: text,
} as const;
const family = choice('ipv4', 'ipv6');
const scope = choice('local', 'global');

const own: Shape = {
  Error: exactly({ error: atLeast({ code: text, message: text }) }),
  Health: exactly({
    status: choice('ok'),
    version: text,
    kernel: choice('linux', 'fake'),
    instance: text,
    startedAt: time,
    uptimeSeconds: count,
  }),
  Pool: exactly({ subnet: text, auxAddresses: map }, { ipRange: text, gateway: text }),
  Network: exactly(
    {
      id: text,
      name: text,
      driver: text,
      scope,
      ipv4: flag,
      ipv6: flag,
      internal: flag,
      attachable: flag,
      configOnly: flag,
      labels: map,
      options: values,
      ipam: exactly({ driver: text, options: map, pools: listOf('Pool') }),
      createdAt: time,
      endpoints: count,
    },
    { configFrom: text },
  ),
  Binding: exactly(binding),
  Service: exactly(
    { name: text, aliases: texts, mode: choice('vip', 'dnsrr'), enabled: flag },
    { ipv4: text, ipv6: text },
  ),
  Endpoint: exactly(
    {
      id: text,
      name: text,
      networkId: text,
      network: text,
      aliases: texts,
      linkLocal: texts,
      ports: listOf('Binding'),
      limits: exactly({}, { ingress: number, egress: number, burst: number }),
      labels: map,
    },
    {
      sandboxId: text,
      containerId: text,
      ipv4: text,
      ipv6: text,
      macAddress: text,
      interfaceName: text,
      service: ref('Service'),
    },
  ),
  Sandbox: exactly(
    {
      id: text,
      containerId: text,
      namespacePath: text,
      hostsPath: text,
      resolvConfPath: text,
      endpoints: listOf('Endpoint'),
    },
    { hostname: text },
  ),
  Port: exactly({ ...binding, endpointId: text, endpoint: text, network: text }, { containerId: text }),
  Finding: exactly(
    { check: text, status: choice('ok', 'warning', 'failure'), found: text },
    { advice: text },
  ),
  Firewall: exactly({ engine: choice('nftables', 'iptables', 'none'), text }),
  Explanation: exactly({
    question: text,
    verdict: choice('accept', 'drop'),
    steps: {
      type: 'array',
      items: exactly({ hook: text, chain: text, rule: text, comment: text, outcome: text }),
    },
    destination: text,
    source: text,
    notes: texts,
  }),
  Reconciliation: exactly({ missing: texts, orphaned: texts, repaired: texts }),
  Counters: mapOf(count),
  Statistics: exactly({
    sandboxes: {
      type: 'array',
      items: exactly({ containerId: text, interfaces: mapOf(ref('Counters')) }, { dns: ref('Counters') }),
    },
    operations: mapOf(exactly({ started: count, succeeded: count, failed: count, totalMs: number })),
    process: exactly({ residentMemory: count, uptimeSeconds: count }),
  }),
  Host: exactly({ id: text, live: flag, self: flag }, { address: text }),
  Inspection: exactly({
    id: text,
    instance: text,
    runDir: text,
    drivers: texts,
    ipams: texts,
    firewall: text,
    networks: { type: 'array', items: open },
    endpoints: { type: 'array', items: open },
    sandboxes: { type: 'array', items: open },
    names: { type: 'array', items: open },
    operations: open,
  }),
  Topology: exactly({
    host: open,
    networks: { type: 'array', items: open },
    sandboxes: { type: 'array', items: open },
    endpoints: { type: 'array', items: open },
  }),
  Stack: exactly(
    {
      interfaces: mapOf(ref('Counters')),
      routes: {
        type: 'array',
        items: atLeast({ family, destination: text, metric: count }, { gateway: text, link: text }),
      },
    },
    { dns: ref('Counters') },
  ),
  Event: exactly(
    { type: text, id: text, time: count, facts: { type: 'object' } },
    { network: exactly({ id: text, name: text, driver: text }), containerId: text },
  ),
};

const classicEndpoint = { name: text, id: text, network: text } as const;

const classic: Shape = {
  ClassicNetwork: exactly({ name: text, id: text, type: text, endpoints: listOf('ClassicEndpoint') }),
  ClassicEndpoint: exactly(classicEndpoint),
  ClassicSandbox: exactly({ id: text, key: text, container_id: text }),
};

const dockerEndpoint = exactly({
  IPAMConfig: { type: 'null' },
  Links: { type: 'null' },
  Aliases: texts,
  MacAddress: text,
  DriverOpts: { type: ['object', 'null'], additionalProperties: text },
  GwPriority: { type: 'integer' },
  NetworkID: text,
  EndpointID: text,
  Gateway: text,
  IPAddress: text,
  IPPrefixLen: count,
  IPv6Gateway: text,
  GlobalIPv6Address: text,
  GlobalIPv6PrefixLen: count,
  DNSNames: texts,
});

const docker: Shape = {
  DockerMessage: exactly({ message: text }),
  DockerNetwork: atLeast(
    {
      Name: text,
      Id: text,
      Created: time,
      Scope: scope,
      Driver: text,
      EnableIPv6: flag,
      IPAM: exactly({ Driver: text, Options: map, Config: { type: 'array', items: open } }),
      Internal: flag,
      Attachable: flag,
      Ingress: flag,
      ConfigFrom: exactly({ Network: text }),
      ConfigOnly: flag,
      Containers: mapOf(
        exactly({ Name: text, EndpointID: text, MacAddress: text, IPv4Address: text, IPv6Address: text }),
      ),
      Options: map,
      Labels: map,
    },
    { EnableIPv4: { ...flag, description: 'From version 1.48 on' } },
  ),
  DockerEndpoint: dockerEndpoint,
  DockerContainer: atLeast({
    Id: text,
    Created: time,
    Name: text,
    State: exactly({ Status: choice('running'), Running: flag }),
    NetworkSettings: exactly({
      SandboxID: text,
      SandboxKey: text,
      Ports: mapOf({ type: 'array', items: exactly({ HostIp: text, HostPort: text }) }),
      Networks: mapOf(ref('DockerEndpoint')),
    }),
  }),
  DockerContainerSummary: atLeast({
    Id: text,
    Names: texts,
    Created: count,
    Ports: {
      type: 'array',
      items: exactly({ IP: text, PrivatePort: count, PublicPort: count, Type: text }),
    },
    State: choice('running'),
    NetworkSettings: exactly({ Networks: mapOf(ref('DockerEndpoint')) }),
  }),
  DockerVersion: atLeast({ Version: text, ApiVersion: text, MinAPIVersion: text, Os: text, Arch: text }),
  DockerInfo: atLeast({
    ID: text,
    Name: text,
    ServerVersion: text,
    OSType: text,
    Containers: count,
    Plugins: atLeast({ Network: texts }),
    Swarm: exactly({ LocalNodeState: choice('inactive') }),
  }),
  DockerEvent: exactly({
    Type: choice('network'),
    Action: text,
    Actor: exactly({ ID: text, Attributes: map }),
    scope: choice('local'),
    time: count,
    timeNano: number,
  }),
};

/** By the names that `ref` refers to. */
export const shapes: Shape = { ...own, ...classic, ...docker };
