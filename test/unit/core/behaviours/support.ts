/** What upstream asks of stores, drivers, options and values. */
import type { Behaviours } from './behaviour.ts';

const endpoints = 'test/unit/core/endpoints.test.ts';
const upstream = 'test/unit/core/upstream.test.ts';
const options = 'test/unit/core/options.test.ts';
const badinput = 'test/unit/core/badinput.test.ts';
const config = 'test/unit/drivers/config.test.ts';
const daemon = 'test/e2e/dnet/daemon.test.ts';
const store = 'src/testing/datastore.ts';
const discovery = 'test/unit/discovery/discovery.test.ts';
const registry = 'test/unit/driverapi/registry.test.ts';
const ip = 'test/unit/core/ip.test.ts';

export const SUPPORT: Behaviours = {
  62: {
    what: 'the shape of keys',
    held: [['test/unit/core/records.test.ts', 'has a key of libnetwork’s shape, and is read back from it']],
  },
  63: {
    what: 'keys are read back; others are refused',
    held: [['test/unit/core/records.test.ts', 'is refused with its key where it is %s']],
  },
  64: {
    what: 'a store that there is not is refused',
    held: [
      [
        'test/e2e/dnet/cluster.test.ts',
        'settings that can’t be are refused by name, and secrets are not told',
      ],
    ],
    differs: 'by the daemon alone, which has addresses of stores; the library is handed stores as objects',
  },
  65: {
    what: 'what was put is got',
    held: [[store, 'finds what was written, with its versions, and counts on from them']],
  },
  66: {
    what: 'writes on the version that is stored pass, on others not',
    held: [
      [store, 'writes when the version is the expected one'],
      [store, 'refuses a write on another version, names the key, and writes nothing'],
      [store, 'refuses to create what exists and to update what does not'],
    ],
  },
  67: {
    what: 'networks and endpoints are in the local store, and found by the next controller',
    held: [
      [upstream, 'and an endpoint of the host driver are found by the next controller on the same directory'],
    ],
  },
  68: {
    what: 'what does not persist is in no store',
    held: [
      [
        upstream,
        'that does not persist is in no store, nor is what is on it, and the next start takes it away',
      ],
    ],
  },
  69: {
    what: 'two controllers on one file',
    held: [
      [
        'test/unit/datastore/level.test.ts',
        'refuses a second open in this process, by whatever path, and names this process and the path',
      ],
    ],
    differs: 'as in the current tree, a second opener is refused',
  },
  70: {
    what: 'a prefix of one’s own in ZooKeeper',
    held: [
      [
        'test/contract/stores/zookeeper.test.ts',
        'refuses a version from before a key was made anew, also when the node counts the same',
      ],
    ],
  },
  71: {
    what: 'a configuration file',
    held: [
      [daemon, 'come from the file, the environment and flags, the later ones winning'],
      [daemon, 'are refused by name before anything is begun'],
    ],
    differs: 'of JSON, and the daemon’s alone (removed from the current tree)',
  },
  72: {
    what: 'labels of the daemon',
    held: [[config, 'are read from labels, as texts or as values']],
    differs: 'those of a network: a driver leaves alone what is not Docker’s (removed from the current tree)',
  },
  73: { what: 'blank names are none', held: [[options, 'refuses the name %j, naming field and value']] },
  74: {
    what: 'a global store behind TLS',
    held: [['test/contract/stores/etcd-options.test.ts', 'works with the certificates of the cluster']],
  },
  75: {
    what: 'which hosts came and which went',
    held: [[discovery, 'tells each host of those that are there, then of those that come and go']],
  },
  76: {
    what: 'joins are told for what came alone, leaves for what went',
    held: [[discovery, 'tells each host of those that are there, then of those that come and go']],
  },
  77: { what: 'a driver is registered', held: [[registry, 'gives the driver of a name']] },
  78: {
    what: 'two drivers of one name are refused',
    held: [
      [registry, 'refuses a second driver of a name, and a blank name'],
      [
        upstream,
        'a controller with two drivers of one name does not open, and closes those that it has made',
      ],
    ],
  },
  79: {
    what: 'an IPAM has two address spaces, with names',
    held: [['src/testing/ipam.ts', 'has a name and two address spaces whose names fit into pool ids']],
  },
  80: {
    what: 'a driver is found with what it can do',
    held: [[registry, 'gives the driver of a name']],
  },
  81: {
    what: 'the IPAMs are default and null',
    held: [[upstream, 'a controller has exactly the drivers and IPAMs that are built in']],
  },
  82: {
    what: 'all drivers are listed',
    held: [[upstream, 'a controller has exactly the drivers and IPAMs that are built in']],
  },
  83: {
    what: 'port mappers by name',
    held: [
      [config, 'are refused by name: %s=%s'],
      [registry, 'names the drivers that there are when asked for another'],
      [registry, 'refuses a second driver of a name, and a blank name'],
    ],
    differs: 'nat and routed are gateway modes of the bridge driver; what is registered by name are drivers',
  },
  84: {
    what: 'labels split at the first =',
    held: [['test/unit/cmd/values.test.ts', 'of a label %j is split at its first =']],
    differs: 'of the command line alone: options of the library are data',
  },
  85: {
    what: 'the interface’s name is read, and anything but text is not',
    held: [
      [endpoints, 'numbers interfaces with the lowest that is free, or names them as asked'],
      [badinput, 'createEndpoint: $what'],
    ],
    differs: 'what is no name is refused, not passed over',
  },
  86: { what: 'options become a typed whole', held: [[options, 'fills in the defaults of a network']] },
  87: {
    what: 'unknown options and those of another type are refused',
    held: [
      [badinput, 'createNetwork: $what'],
      [options, 'refuses the endpoint option %j'],
    ],
  },
  88: {
    what: 'a port as text',
    held: [['test/unit/cmd/values.test.ts', 'of a port %j is read']],
    differs: 'in Docker’s form (80/tcp)',
  },
  89: {
    what: 'a binding as text',
    held: [['test/unit/cmd/values.test.ts', 'of a port %j is read']],
    differs: 'in Docker’s form (host address:host port:container port/protocol)',
  },
  90: {
    what: 'each error has its kind',
    held: [['test/unit/core/errors.test.ts', 'have one status each in HTTP, which is upstream’s']],
    differs: 'no error is masked: what is done in spite of a failure is logged',
  },
  91: {
    what: 'masks of addresses of both families',
    held: [[ip, 'overlaps exactly where one holds the first address of the other']],
    differs: 'addresses are values with a family, and prefixes have lengths: there are no masks to mix up',
  },
  92: {
    what: 'the part of an address that names the host',
    held: [['test/unit/ipam/addresses.test.ts', 'give addresses of a range beyond their first 2^64']],
    differs: 'no function of its own: the allocator counts from the start of the subnet',
  },
  93: {
    what: 'the last address of a subnet',
    held: [
      [ip, 'holds its first and its last address and nothing beyond'],
      [
        'test/unit/ipam/addresses.test.ts',
        'of a range at the edge of the subnet is never the network or the broadcast address',
      ],
    ],
  },
  94: {
    what: 'an address with a length keeps its host bits',
    held: [[ip, 'tells an address with its length from a prefix']],
  },
  95: {
    what: 'pools with auxiliary addresses come back whole',
    held: [[upstream, 'and its endpoints are after a restart what they were, in every fact that they show']],
  },
  96: {
    what: 'gateway and auxiliary addresses lie in the subnet',
    held: [[options, 'refuses the pool %j']],
  },
};
