/** What upstream's tests ask of published ports: who gets which, and what leads to the container. */
import type { Behaviours } from '../../core/behaviours/behaviour.ts';

const portmap = 'test/unit/portmap/portmap.test.ts';
const proxy = 'test/unit/portmap/proxy.test.ts';
const publish = 'test/unit/drivers/publish.test.ts';
const contract = 'src/testing/driver.ts';
const sockets = 'src/testing/osl/sockets.ts';
const kernelSockets = 'test/kernel/osl/sockets.test.ts';
const packets = 'test/kernel/bridge/packets.test.ts';
const onKernel = 'test/kernel/bridge/proxy.test.ts';
const gateways = 'test/unit/core/gateways.test.ts';

const HELD = 'is held on every address until it is released';
const FREE = 'gives free ports, one for both families, and keeps them when asked again';
const STRANGER = 'that a stranger holds is refused with how to find out who';
const NONE_LEFT = 'is refused with the name of the range when none is left, and nothing stays held';
const KERNEL_CHOOSES = '… ports may be chosen by the kernel, each another one';
const RESERVED =
  'leaves the reserved ports out where the kernel chooses, and gives them to who asks for them';
const APART = '… ports are apart from other protocols, other addresses, and the other family';
const FIRST_FREE = 'is the first that is free on every address';
const RANGE = 'is refused with the range when all are taken, and names the holder where it is ours';

export const PORTS: Behaviours = {
  76: {
    what: 'a port of one’s own choice is the first of the range',
    held: [[sockets, KERNEL_CHOOSES]],
    differs: 'the kernel chooses, of its own range, so that other programs’ ports are kept clear of too',
  },
  77: { what: 'a certain port, released and taken again', held: [[portmap, HELD]] },
  78: { what: 'a port that is taken', held: [[portmap, 'that one of us holds is refused by that name']] },
  79: {
    what: 'an unknown protocol',
    held: [['test/unit/firewall/ruleset.test.ts', 'is refused: %s']],
    differs: 'the core refuses it when the endpoint is created; the firewall does for whoever calls it',
  },
  80: { what: 'all ports of the range, and one more', held: [[portmap, NONE_LEFT]] },
  81: { what: 'two addresses may have one port', held: [[sockets, APART]] },
  82: {
    what: 'a range of one’s own',
    held: [
      [portmap, FIRST_FREE],
      [portmap, RANGE],
    ],
  },
  83: { what: 'a free port is never one that is taken', held: [[sockets, KERNEL_CHOOSES]] },
  84: {
    what: 'one port on several addresses',
    held: [
      [portmap, 'is one that is free in both families'],
      [portmap, 'can be let go of on one address alone'],
    ],
  },
  85: {
    what: 'all addresses beside one of them',
    held: [
      [sockets, APART],
      [portmap, FIRST_FREE],
    ],
  },
  86: {
    what: 'reserved ports are not chosen, and may be asked for',
    held: [
      [portmap, NONE_LEFT],
      [kernelSockets, RESERVED],
    ],
  },
  87: {
    what: 'the text of reserved ports',
    held: [[kernelSockets, RESERVED]],
    differs: 'the kernel reads its own setting, ranges and all: nothing here parses it',
  },
  88: {
    what: 'certain ports of all protocols, on several addresses',
    held: [
      [portmap, HELD],
      [sockets, '… ports are held against everybody, until they are released'],
    ],
  },
  89: { what: 'a port that somebody else has', held: [[portmap, STRANGER]] },
  90: { what: 'of a range the next one, where one is busy', held: [[portmap, FIRST_FREE]] },
  91: { what: 'the same port again after a release', held: [[portmap, HELD]] },
  92: {
    what: 'a UDP port is held against everybody',
    held: [
      [sockets, '… ports are held against everybody, until they are released'],
      [portmap, 'hold nothing when holding fails at step %i'],
    ],
  },
  93: {
    what: 'the backlog of listening sockets',
    held: [],
    differs: 'sockets listen with a backlog of 511, Node’s own, which the kernel limits to somaxconn',
  },
  94: {
    what: 'no packet is answered before the rules are there',
    held: [
      [sockets, '… ports are held against servers, and by them'],
      [
        kernelSockets,
        'holds a port in silence: whoever comes before any rule leads on is neither answered nor refused',
      ],
    ],
    differs:
      'the filter of a held port drops everything for as long as it is held, as the socket never serves: what no rule leads on meets silence',
  },
  95: {
    what: 'several bindings that do not fit',
    held: [[portmap, 'get ports that fit and differ, or nothing is held']],
  },
  96: {
    what: 'the order in which ports are given',
    held: [[portmap, 'leaves the certain port to the request that needs it, in whatever order they come']],
  },
  97: { what: 'free ports, one for both families', held: [[contract, FREE]] },
  98: {
    what: 'a certain port in both families',
    held: [[contract, 'publishes a certain port on every address of both families']],
  },
  99: {
    what: 'a port in use',
    held: [[contract, 'names the holder of a port that is taken, and publishes nothing']],
  },
  100: {
    what: 'IPv4 addresses in IPv6 clothes',
    held: [[publish, 'on an IPv4 address in IPv6 clothes is on that IPv4 address']],
  },
  101: {
    what: 'a range whose first port is busy',
    held: [[publish, 'of a range is the first free one, in both families']],
  },
  102: { what: 'several ports of one range', held: [[portmap, 'gives each of several requests its own']] },
  103: { what: 'a range that is used up', held: [[portmap, RANGE]] },
  104: {
    what: 'IPv6 of the host to a container of IPv4',
    held: [
      [
        publish,
        'is handed on from an IPv6 address of the host to a container without, where that is asked for',
      ],
      [onKernel, 'leads IPv6 to a container that has IPv4 alone, where that is asked for'],
    ],
    differs:
      'only where an IPv6 address is named, so that a port is never open in a family that was not asked for',
  },
  105: {
    what: 'the address that a network binds to',
    held: [
      [publish, 'follows the network to the address that it binds to'],
      [
        'test/unit/drivers/config.test.ts',
        'publish in no IPv6 where IPv4 is bound to a certain address and IPv6 to none',
      ],
    ],
  },
  106: {
    what: 'routed families have no port of the host',
    held: [
      [publish, 'is only opened in a routed network, and reached by the address of the container'],
      [packets, 'open a port of a routed network at the address of the container'],
    ],
  },
  107: {
    what: 'a host’s address or port for a routed network is ignored, and logged',
    held: [[publish, 'is only opened in a routed network, and reached by the address of the container']],
    differs: 'they are ignored without a word: the binding tells port 0',
  },
  108: {
    what: 'one port on several addresses, told one by one',
    held: [[portmap, 'get ports that fit and differ, or nothing is held']],
    differs:
      'requests for several addresses are several requests: where no port is named each has a free one of its own',
  },
  109: {
    what: 'proxies start and end with their ports',
    held: [
      [publish, 'is handed on from ::1, over tcp and udp, and from nobody else'],
      [proxy, 'ends its connections, and frees the port, when it is released'],
    ],
    differs: 'only ::1 and IPv6 without a container’s address need one: the rest is led by rules',
  },
  110: {
    what: 'bindings are told, and end with the leave',
    held: [
      [publish, 'ends when its endpoint leaves'],
      [contract, 'leaves nothing behind when everything is unpublished'],
    ],
  },
  111: {
    what: 'classic: a port twice, and unmapped twice',
    held: [
      [portmap, 'that one of us holds is refused by that name'],
      [contract, 'leaves nothing behind when everything is unpublished'],
    ],
  },
  112: { what: 'classic: the whole range', held: [[portmap, NONE_LEFT]] },
  113: {
    what: 'classic: a published port can’t be listened on',
    held: [
      [publish, 'a recorded port is held again, and another process that wants it is refused'],
      [sockets, '… ports are held against servers, and by them'],
    ],
  },
  114: {
    what: 'families move as a container’s gateway does',
    held: [
      [publish, 'in a family that is added later has the same port there'],
      [gateways, 'are there while their endpoint gives the default route'],
      [gateways, 'is chosen for each family on its own'],
    ],
  },
  115: {
    what: 'the caller hears of a port in use, and of all mappings',
    held: [[contract, 'names the holder of a port that is taken, and publishes nothing']],
  },
  116: {
    what: 'the same ports after a restart',
    held: [
      [publish, 'a recorded port is held again, and another process that wants it is refused'],
      [publish, 'is served again after a restart'],
    ],
  },
  117: {
    what: 'the proxy hands on connections and datagrams',
    held: [
      [proxy, 'hands on what is said after the other side has finished'],
      [proxy, 'ends the client where nobody listens behind it'],
      [proxy, 'gives each sender the answers to what it sent'],
      [onKernel, 'leads ::1 to a published port'],
    ],
    differs: 'over SCTP there is no proxy: no kernel of our tests has such sockets',
  },
  118: {
    what: 'a flow of one direction is kept while it is written to',
    held: [[proxy, 'remembers no more senders than its limit, and forgets all when it is released']],
  },
};
