/** Where the stock client's words with dnet differ from those that client 28 had with Docker 20.10, and why. */
export interface Deviation {
  readonly why: string;
  /** Of clients of this major version alone. */
  readonly client?: 20 | 28;
  readonly exit?: number;
  readonly stdout?: string | RegExp;
  readonly stderr?: string | RegExp;
}

const OURS = 'errors are told in this package’s words, with the field, the value and what to do';
const OLD = 'the older client words it so, whatever the daemon';

export const deviations: Readonly<Record<string, readonly Deviation[]>> = {
  '04-ls-format': [
    {
      client: 20,
      why: 'the older client knows no field IPv4',
      stdout: ['bridge', 'host', 'none']
        .map(
          (name) =>
            `{"CreatedAt":"<time>","Driver":"${name === 'none' ? 'null' : name}","ID":"<short id>","IPv6":"false","Internal":"false","Labels":"","Name":"${name}","Scope":"local"}\n`,
        )
        .join(''),
    },
  ],
  '16-create-bad-subnet': [
    { why: OURS, stderr: /^Error response from daemon: .*subnet: .*"172\.28\.0\.0\/33"\n$/ },
  ],
  '18-create-unknown-driver': [
    {
      why: OURS,
      stderr: /^Error response from daemon: unknown driver "nosuch": there are .*\bbridge\b.*\n$/,
    },
  ],
  '19-create-reserved-host': [
    {
      why: OURS,
      stderr: 'Error response from daemon: there can be only one network of driver host: use network host\n',
    },
  ],
  '21-create-bad-name': [
    {
      why: 'a name is letters, digits, "_", "." and "-", as Docker has it since version 25',
      exit: 1,
      stdout: '',
      stderr: /^Error response from daemon: name: must be letters, digits.*"bad name!"\n$/,
    },
  ],
  '22-create-macvlan': [
    {
      why: 'the recording’s parent interface is not here, and the driver need not be either',
      exit: 1,
      stdout: '',
      stderr: /^Error response from daemon: .+\n$/,
    },
  ],
  '26-create-ipam-null': [
    { why: OURS, stderr: /^Error response from daemon: .*the ipv4 pool is empty.*\n$/ },
  ],
  '28-create-two-subnets-same-family': [
    { why: OURS, stderr: /^Error response from daemon: a bridge network has one ipv4 subnet, got .*\n$/ },
  ],
  '32-inspect-missing': [{ client: 20, why: OLD, stderr: 'Error: No such network: nosuchnet\n' }],
  '43-connect-bad-ip': [
    {
      why: 'Docker only notes it for a container that is stopped; sandboxes are never stopped, and it is refused at once',
      exit: 1,
      stderr: /^Error response from daemon: ipv4: .*"10\.9\.9\.9"\n$/,
    },
  ],
  '52-rm-in-use': [
    {
      why: 'the endpoints are named, as Docker does since version 25',
      stderr:
        /^Error response from daemon: error while removing network: network rec1 has active endpoints \(name:"recc" id:"[0-9a-f]{12}"\)\n(exit status 1\n)?$/,
    },
  ],
  '56-disconnect-again': [
    {
      why: 'a container has an id here and no name',
      stderr: 'Error response from daemon: container recc is not connected to network rec3\n',
    },
  ],
  '62-rm-force-missing': [
    {
      client: 20,
      why: 'the older client has no flag -f',
      exit: 125,
      stderr: /^unknown shorthand flag: 'f' in -f\n/,
    },
  ],
  '63-rm-predefined': [
    {
      client: 20,
      why: OLD,
      stderr: 'Error response from daemon: bridge is a pre-defined network and cannot be removed\n',
    },
  ],
  '65-rm-config-in-use': [
    {
      why: OURS,
      stderr: /^Error response from daemon: configuration network "reccfg" is in use\n(exit status 1\n)?$/,
    },
  ],
  '72-prune-all': [
    {
      why: 'the network with the bad name and the macvlan network were not made',
      stdout: 'Deleted Networks:\nrec1\nrec4\nreccfgnet\n\n',
    },
  ],
  '90-version': [
    {
      why: 'it is another daemon',
      stdout:
        /\nServer: libnetwork\n Engine:\n {2}Version: +\d+\.\d+\.\d+\n {2}API version: +1\.48 \(minimum version 1\.24\)\n/,
    },
  ],
};

/** Differences inside the JSON that `inspect` prints: a text of the recording, and what stands for it here. */
export const rewritten: Readonly<
  Record<string, readonly (readonly [recorded: string, ours: string, why: string])[]>
> = {
  '34-inspect-bridge': [
    [
      '"Options": null,',
      '"Options": {},',
      'an IPAM without options has none, however the network came about',
    ],
    [
      '"Subnet": "172.17.0.0/16"\n',
      '"Subnet": "172.17.0.0/16",\n                    "Gateway": "172.17.0.1"\n',
      'the gateway is told for every network, as Docker does since version 22',
    ],
  ],
  '50-inspect-with-endpoints': [['"<id>": {', '"recc": {', 'a container has an id here and no name']],
};
