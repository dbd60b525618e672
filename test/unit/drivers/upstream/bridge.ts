/** What upstream's tests ask of its bridge driver: configuration, set-up and endpoints. */
import type { Behaviours } from '../../core/behaviours/behaviour.ts';

const config = 'test/unit/drivers/config.test.ts';
const bridge = 'test/unit/drivers/bridge.test.ts';
const contract = 'src/testing/driver.ts';
const kernelPackets = 'test/kernel/bridge/packets.test.ts';
const takeover = 'test/kernel/bridge/takeover.test.ts';
const links = 'src/testing/osl/links.ts';

const UP = 'is up, has both gateways, its own MAC address, and the stamp of its owner';
const ADOPTED = 'that is a bridge made by hand is used as it is, and stays';
const NOT_ADOPTED = 'that is a bridge made by hand without %s is refused, with what to do';
const FORWARDING = 'turns forwarding on, and keeps the router advertisements of other links';

export const BRIDGE: Behaviours = {
  1: {
    what: 'the bridge is made, at first down',
    held: [[bridge, UP]],
    differs: 'it is made, addressed and brought up in one or two sends: nobody sees it down',
  },
  2: { what: 'a default bridge of another name is not made', held: [[bridge, 'must be made by hand']] },
  3: { what: 'the bridge is up in the end', held: [[bridge, UP]] },
  4: {
    what: 'each bridge has a MAC address of its own',
    held: [[bridge, 'keeps its MAC address whatever its ports are']],
  },
  5: {
    what: 'an MTU of 9000 is taken',
    held: [
      [config, 'are read from labels, as texts or as values'],
      [links, 'of a veth have a group each, and the peer its own MTU'],
    ],
  },
  6: { what: 'an MTU of 65536 is refused', held: [[config, 'are refused by name: %s=%s']] },
  7: { what: 'the IPv4 address is on the bridge', held: [[bridge, UP]] },
  8: {
    what: 'another gateway than the bridge',
    held: [[config, 'let an auxiliary address choose the gateway of the containers']],
  },
  9: {
    what: 'IPv6 is on, with the address',
    held: [
      [bridge, UP],
      [bridge, 'takes no router advertisements, and has no IPv6 where the network has none'],
    ],
  },
  10: {
    what: 'another IPv6 gateway',
    held: [[config, 'let an auxiliary address choose the gateway of the containers']],
  },
  11: {
    what: 'a bridge that was there gets the IPv6 address of now, and loses those of before',
    held: [
      [bridge, ADOPTED],
      [bridge, NOT_ADOPTED],
    ],
    differs: 'a bridge that others made is not changed: it has the addresses, or is refused with what to do',
  },
  12: { what: 'a bridge that was there and has the address is fine', held: [[bridge, ADOPTED]] },
  13: { what: 'one with another address is not', held: [[bridge, NOT_ADOPTED]] },
  14: { what: 'one without any is not', held: [[bridge, NOT_ADOPTED]] },
  15: {
    what: 'classic: fe80::1/64 is on every bridge with IPv6',
    held: [[takeover, 'has a link-local address of the kernel’s making once a container is on it']],
    differs:
      'upstream has given that one up: it is the address that the kernel makes of the bridge’s MAC address',
  },
  16: {
    what: 'IPv4 forwarding is turned on, and the policy of FORWARD set where asked for',
    held: [[bridge, FORWARDING]],
    differs: 'no policy of a chain is changed, ever: the rules of our own table protect containers',
  },
  17: { what: 'IPv6 forwarding is turned on', held: [[bridge, FORWARDING]] },
  18: {
    what: 'with nftables upstream only looks whether the host forwards',
    held: [[bridge, FORWARDING]],
    differs:
      'forwarding is turned on with either engine; where the kernel refuses, the error names the key to set',
  },
  19: { what: 'the default bridge is docker0', held: [[config, 'name the default bridge docker0']] },
  20: {
    what: 'addresses of links are listed',
    held: [['src/testing/osl/routes.ts', '… addresses are of one link, or of all when none is asked for']],
  },
  21: {
    what: 'endpoints are recorded and read again',
    held: [
      [
        contract,
        'takes up what the records say: nothing is missing, nothing orphaned, and all of it can be deleted',
      ],
    ],
    differs: 'the core records endpoints, with their bindings; drivers keep no records of their own',
  },
  22: {
    what: 'networks are recorded and read again',
    held: [
      [
        contract,
        'takes up what the records say: nothing is missing, nothing orphaned, and all of it can be deleted',
      ],
    ],
    differs: 'options are recorded as they came and parsed again',
  },
  23: {
    what: 'all options at once, as values',
    held: [
      [config, 'are read from labels, as texts or as values'],
      [config, 'let an auxiliary address choose the gateway of the containers'],
    ],
  },
  24: {
    what: 'all options at once, as labels; a MAC address is kept, or made',
    held: [
      [config, 'are read from labels, as texts or as values'],
      [contract, 'decides on a MAC address where none is given, if its endpoints have any'],
    ],
  },
  25: { what: 'no options at all', held: [[config, 'have defaults']] },
  26: {
    what: 'a second network on the same bridge is refused',
    held: [[config, 'conflict in their %s, and both are named']],
  },
  27: { what: 'a default bridge that is not there is not made', held: [[bridge, 'must be made by hand']] },
  28: {
    what: 'the peer of the veth is born in the container where that is known',
    held: [
      [bridge, 'is a veth whose ends are named, stamped, sized and joined in one request'],
      [links, 'of a veth have their peer born in place in another namespace'],
    ],
    differs: 'it is always known: a sandbox has its namespace before anything joins it',
  },
  29: {
    what: 'the rules are those of the networks that there are',
    held: [
      [contract, 'deletes one of several and leaves the others as they are'],
      [
        'test/unit/firewall/ruleset.test.ts',
        'after any changes, one by one or together, holds the table of the intents that are left',
      ],
    ],
  },
  30: {
    what: 'of a hundred creations with one subnet at the same time one succeeds',
    held: [[bridge, 'can not have one subnet, also when a hundred come at the same time']],
  },
  31: {
    what: 'a bridge that the user made keeps its address, and outlives the network',
    held: [
      [bridge, ADOPTED],
      [takeover, 'is taken over with what is on it, and stays when the network goes'],
    ],
  },
  32: {
    what: 'what is published is told',
    held: [[contract, 'publishes a certain port on every address of both families']],
  },
  33: {
    what: 'linked containers reach each other where the others may not',
    held: [
      [
        'test/kernel/bridge/links.test.ts',
        'let one reach the exposed ports of another in %s, and nothing else',
      ],
      ['test/kernel/bridge/links.test.ts', 'hold whoever comes first, and until either leaves'],
    ],
    differs: 'a link to an endpoint that is not joined is no error: it holds once it is',
  },
  34: {
    what: 'bad MTUs and gateways are refused',
    held: [
      [config, 'are refused by name: %s=%s'],
      [config, 'refuse a gateway outside the subnet'],
    ],
  },
  35: {
    what: 'IPv6 subnets that can and that can’t be',
    held: [
      [config, 'accept the IPv6 subnet %s'],
      [config, 'refuse the IPv6 subnet %s'],
    ],
  },
  36: {
    what: 'a join tells the gateways that were chosen',
    held: [[contract, 'tells the gateways of the next hop only in families that the network has']],
  },
  37: {
    what: 'the container’s end has the MTU; an endpoint is there once; the bridge is the gateway',
    held: [
      [kernelPackets, 'have the links that were asked for'],
      [contract, 'takes a second join of one endpoint as done'],
    ],
    differs:
      'ids are checked by the core; a second join of one endpoint is taken as done, so that a retry does no harm',
  },
  38: {
    what: 'one endpoint twice',
    held: [
      [contract, 'takes a second join of one endpoint as done'],
      ['test/unit/core/endpoints.test.ts', 'has a name that no other endpoint of the network has'],
    ],
    differs: 'a second join is taken as done; the core refuses a second endpoint of a name',
  },
  39: {
    what: 'without IPv6 there is no address and no gateway of it',
    held: [[bridge, 'takes no router advertisements, and has no IPv6 where the network has none']],
  },
  40: {
    what: 'endpoints are deleted',
    held: [[contract, 'leaves nothing behind when an endpoint leaves, however often, and is deleted']],
  },
  41: {
    what: 'WSL2 with mirrored networking is found out',
    held: [],
    differs: 'machines under Windows are not supported: nothing here could be tested on one',
  },
  42: {
    what: 'classic: an IPv6 address made of the MAC address',
    held: [
      [
        'test/unit/ipam/addresses.test.ts',
        'hold the MAC address in their low 48 bits, where the pool asks for it',
      ],
    ],
  },
  43: {
    what: 'nothing is left of the rules',
    held: [['test/kernel/firewall/iptables.test.ts', 'are none after everything is destroyed']],
  },
  44: {
    what: 'rules are made once and taken away once',
    held: [
      ['test/unit/firewall/ruleset.test.ts', 'changes nothing for an intent that is set again'],
      [
        'test/unit/firewall/iptables.test.ts',
        'after any changes are those of the intents that are left, and none when none are left',
      ],
    ],
  },
};
