/** What upstream asks of networks and endpoints. */
import type { Behaviours } from './behaviour.ts';

const networks = 'test/unit/core/networks.test.ts';
const endpoints = 'test/unit/core/endpoints.test.ts';
const sandboxes = 'test/unit/core/sandboxes.test.ts';
const upstream = 'test/unit/core/upstream.test.ts';
const configs = 'test/unit/core/configs.test.ts';
const options = 'test/unit/core/options.test.ts';
const badinput = 'test/unit/core/badinput.test.ts';
const late = 'test/unit/core/latebinding.test.ts';
const lateOnKernel = 'test/kernel/core/latebinding.test.ts';
const names = 'test/unit/resolver/names.test.ts';
const plugins = 'test/unit/plugin/controller.test.ts';
const ORCHESTRATOR = 'an orchestrator’s (swarm’s) services are no part of this library';

export const NETWORK: Behaviours = {
  1: {
    what: 'a null network is joined, left, and emptied; it can’t be deleted',
    held: [
      [networks, 'lets sandboxes join a null network, leave it and be deleted'],
      [configs, 'are made on request, once, and can’t be deleted'],
      [configs, 'are ordinary ones where they were not asked for'],
    ],
    differs: 'only the predefined ones can’t be deleted: what a caller made he can unmake',
  },
  2: {
    what: 'sandboxes share the host, and one is joined by a third endpoint again',
    held: [[networks, 'lets two sandboxes share the host, and a third endpoint join the first again']],
  },
  3: {
    what: 'five port bindings, ranges among them, published in both families',
    held: [[upstream, 'publishes certain ports, one of a range, and each in both families']],
  },
  4: {
    what: 'an IPv6 address made of the MAC address',
    held: [
      [
        'test/unit/ipam/addresses.test.ts',
        'hold the MAC address in their low 48 bits, where the pool asks for it',
      ],
    ],
    differs: 'an option of the pool, as the current tree has no deferred allocation',
  },
  5: {
    what: 'an unknown driver is not found',
    held: [
      [networks, 'names the driver and the IPAM driver that are not there'],
      [plugins, 'is refused at once where no plugin has its name, in words that say where it was looked for'],
    ],
  },
  6: {
    what: 'a remote driver without a plugin is not found',
    held: [
      [plugins, 'is refused at once where no plugin has its name, in words that say where it was looked for'],
    ],
  },
  7: {
    what: 'an empty name is refused, any other is shown',
    held: [
      [options, 'refuses the name %j, naming field and value'],
      [networks, 'shows what it was made with, frozen'],
    ],
  },
  8: { what: 'a network’s type is its driver', held: [[networks, 'shows what it was made with, frozen']] },
  9: { what: 'a network has an id', held: [[networks, 'shows what it was made with, frozen']] },
  10: {
    what: 'a network with endpoints is not deleted',
    held: [[networks, 'is refused while it has endpoints, naming them']],
  },
  11: {
    what: 'a second deletion finds no network',
    held: [[networks, 'leaves nothing, and a second time there is none']],
  },
  12: {
    what: 'an endpoint without a name is refused, and the next one is made',
    held: [
      [badinput, 'createEndpoint: $what'],
      [endpoints, 'gives its addresses back'],
    ],
  },
  13: {
    what: 'networks and endpoints are listed as the objects that were made',
    held: [[upstream, 'and its endpoints are listed as the objects that were made, in every lookup']],
  },
  14: {
    what: 'a second endpoint of one name is refused',
    held: [[endpoints, 'has a name that no other endpoint of the network has']],
    differs: 'ALREADY_EXISTS in place of Forbidden, so that the reason can be told by the code',
  },
  15: {
    what: 'networks are found by name and by id, exactly',
    held: [
      [networks, 'is found by id and by name, and the handle stays the same'],
      [upstream, 'and its endpoints are listed as the objects that were made, in every lookup'],
    ],
    differs: 'one look-up for both, which answers `undefined` where upstream has an error',
  },
  16: {
    what: 'endpoints are found by name and by id, exactly',
    held: [[upstream, 'and its endpoints are listed as the objects that were made, in every lookup']],
    differs: '`undefined` where upstream has an error',
  },
  17: {
    what: 'what configuration networks, and networks made from them, may not have; one in use stays',
    held: [
      [configs, 'refuses %j'],
      [configs, 'gives its settings to networks made from it, and can’t be deleted while they live'],
    ],
  },
  18: {
    what: 'a plugin that implements something else is no driver',
    held: [['test/unit/plugin/hostile.test.ts', 'decides what it is used for']],
  },
  19: {
    what: 'a plugin that implements a network driver is one',
    held: [[plugins, 'is looked for at that moment: a plugin that comes later is found']],
  },
  20: {
    what: 'bridge, macvlan and ipvlan refuse the null IPAM',
    held: [[upstream, 'of the driver %s is not made without addresses: %j']],
  },
  21: {
    what: 'a bridge needs an address family',
    held: [
      [upstream, 'of the driver %s is not made without addresses: %j'],
      [networks, 'needs a family'],
      [upstream, 'a macvlan network may have no address family: its endpoints are links alone'],
    ],
  },
  22: {
    what: 'auxiliary addresses lie in the subnet, if not in its range',
    held: [[networks, 'hold auxiliary addresses of the subnet: %j, %s: %s']],
  },
  23: {
    what: 'a driver that fails gives pool, gateway and address back',
    held: [
      [
        upstream,
        'gives its pool and its gateway back when its driver fails to make it, and an endpoint its address',
      ],
      [
        'test/unit/core/rollback.test.ts',
        'changes nothing when any of its steps fails, and succeeds when it is tried again',
      ],
    ],
    differs: 'an address that was given back rests before it is given to one who asks for any',
  },
  24: {
    what: 'a network’s record comes back whole',
    held: [[upstream, 'and its endpoints are after a restart what they were, in every fact that they show']],
  },
  25: {
    what: 'networks are stored, found, deleted and stored again',
    held: [
      [networks, 'is found by id and by name, and the handle stays the same'],
      [networks, 'leaves nothing, and a second time there is none'],
    ],
  },
  26: {
    what: 'errors are told by their kinds',
    held: [['test/unit/core/errors.test.ts', 'have one status each in HTTP, which is upstream’s']],
  },
  27: {
    what: 'three workers join and leave side by side, 25 times',
    held: [['test/unit/core/parallel.test.ts', 'joins and leaves in rounds, on one bridge and on the host']],
  },
  28: {
    what: 'an endpoint that is not joined has addresses and no sandbox',
    held: [[endpoints, 'takes an address of each family and a MAC address, and shows them frozen']],
  },
  29: {
    what: 'what is no sandbox, or another controller’s, is not joined',
    held: [
      [badinput, 'join and leave: $what'],
      [badinput, 'join: a sandbox of another controller'],
    ],
  },
  30: {
    what: 'a joined endpoint has gateways of both families, and its sandbox',
    held: [[endpoints, 'gives it an interface with the addresses, the routes and the name']],
  },
  31: {
    what: 'statistics by the interface’s name in the sandbox',
    held: [
      [endpoints, 'gives it an interface with the addresses, the routes and the name'],
      [lateOnKernel, 'gets its interfaces, counters and way out when the runtime’s hook tells its namespace'],
    ],
  },
  32: {
    what: 'endpoints of two networks in one sandbox: eth0 and eth1',
    held: [[endpoints, 'numbers interfaces with the lowest that is free, or names them as asked']],
  },
  33: {
    what: 'a namespace that is told later; one that is none changes nothing',
    held: [
      [late, 'notes joins, and makes them when it gets its key'],
      [late, 'is as before after a key that is none, and takes the next one'],
    ],
  },
  34: {
    what: 'the same by the runtime’s hook, as a program',
    held: [
      [late, 'sets the key of its container'],
      [
        lateOnKernel,
        'is told by the program with upstream’s arguments, which ends with 0, or with 1 and the reason',
      ],
    ],
  },
  35: {
    what: 'an endpoint that is joined is not deleted',
    held: [[endpoints, 'is refused while it is joined, unless by force']],
  },
  36: {
    what: 'an endpoint is joined to one sandbox at a time',
    held: [[endpoints, 'is refused while it is joined, whichever the sandbox']],
  },
  37: {
    what: 'deleting a sandbox deletes its endpoints; its networks can be deleted then',
    held: [[sandboxes, 'deletes its endpoints, its namespace and its files']],
  },
  38: {
    what: 'who is not joined, or joined elsewhere, can’t leave',
    held: [
      [endpoints, 'is refused to one that is not joined, or joined elsewhere'],
      [badinput, 'join and leave: $what'],
      [badinput, 'join: a sandbox of another controller'],
    ],
  },
  39: {
    what: 'sandboxes with hosts files of their own on one network',
    held: [[upstream, 'has its files where it is told, two of them on one network']],
    differs: 'without parent updates, which the current tree has not any more',
  },
  40: {
    what: 'an endpoint’s record comes back whole',
    held: [[upstream, 'and its endpoints are after a restart what they were, in every fact that they show']],
  },
  41: {
    what: 'endpoints are stored, found, deleted and stored again',
    held: [
      [upstream, 'and its endpoints are listed as the objects that were made, in every lookup'],
      [endpoints, 'gives its addresses back'],
    ],
  },
  42: {
    what: 'IPAM is told the endpoint’s name',
    held: [['test/unit/core/endpoints.test.ts', 'is refused an address that another one has, naming it']],
    differs: 'the built-in IPAM alone: plugins are asked as by the Docker that their recordings are of',
  },
  43: {
    what: 'the networks that a swarm’s node asks first',
    held: [
      [
        'test/unit/resolver/controller.test.ts',
        'are those of the network with the highest gateway priority first',
      ],
    ],
    differs: `${ORCHESTRATOR}: names are looked up in the order of the gateways`,
  },
  44: {
    what: 'the own lines of /etc/hosts in both families',
    held: [
      [sandboxes, 'has its host name for each address in its hosts file, as long as it has the address'],
    ],
  },
  45: {
    what: 'each DNS name resolves to exactly the endpoint’s addresses, and to none after',
    held: [
      [upstream, 'resolves each name of an endpoint to exactly its addresses, whichever families it has'],
    ],
  },
  46: {
    what: 'a name and address that two have go with the second',
    held: [
      [names, 'puts another address first each time, and names each address once'],
      [names, 'answers after any changes as a table built afresh from what is left'],
    ],
    differs: `${ORCHESTRATOR}: held for endpoints that share a name`,
  },
  47: {
    what: 'services are found by port and protocol',
    held: [
      [names, 'names port and addresses of every endpoint that has the service'],
      ['test/unit/core/names.test.ts', 'have the services of its named ports below them'],
    ],
  },
  48: {
    what: 'a network’s names go with it',
    held: [
      [names, 'are found after the endpoints, wildcards last and the nearest first'],
      ['test/unit/resolver/controller.test.ts', 'hold the static ones it was made with, and end with it'],
    ],
  },
  49: {
    what: 'an alias stays as long as one has it, for each network on its own',
    held: [[names, 'answers after any changes as a table built afresh from what is left']],
    differs: `${ORCHESTRATOR}: held for endpoints that share a name`,
  },
};
