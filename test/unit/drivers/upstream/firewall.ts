/** What upstream's tests ask of its firewall: rules, and where packets get to. */
import type { Behaviours } from '../../core/behaviours/behaviour.ts';

const golden = 'test/unit/firewall/golden.test.ts';
const ruleset = 'test/unit/firewall/ruleset.test.ts';
const engine = 'test/unit/firewall/engine.test.ts';
const diff = 'test/unit/firewall/diff.test.ts';
const iptables = 'test/unit/firewall/iptables.test.ts';
const kernelIptables = 'test/kernel/firewall/iptables.test.ts';
const kernelRules = 'test/kernel/firewall/ruleset.test.ts';
const firewalld = 'test/kernel/firewall/firewalld.test.ts';
const packets = 'test/kernel/firewall/packets.test.ts';
const defaults = 'test/unit/core/bridgedefaults.test.ts';
const options = 'test/kernel/bridge/options.test.ts';
const matrix = 'test/kernel/bridge/matrix.test.ts';
const watch = 'test/kernel/firewall/watch.test.ts';
const REACH = 'is as the reviewed table of $protocol over $family says';

export const FIREWALL: Behaviours = {
  45: {
    what: 'rules of iptables for every kind of network, and none afterwards',
    held: [
      [golden, 'for %s are the golden file'],
      ['test/unit/firewall/recordings.test.ts', 'each of its rules is there, or what stands for it'],
      [kernelIptables, 'are none after everything is destroyed'],
    ],
  },
  46: { what: 'the same of nftables', held: [[golden, 'for %s are the golden file']] },
  47: {
    what: 'an IPv4 source of what leaves says nothing of IPv6',
    held: [[options, 'the source of what leaves %s']],
  },
  48: {
    what: 'the source of what leaves, for all options',
    held: [[options, 'the source of what leaves %s']],
  },
  49: {
    what: 'chains, links and jumps are made',
    held: [[golden, 'for %s are the golden file']],
  },
  50: {
    what: 'changes at the same time all hold',
    held: [[engine, 'wait for the transaction under way and then share the next one']],
  },
  51: {
    what: 'a rule is told from a similar one',
    held: [
      [iptables, 'of any intents become those of any others, with the rules of the user in their order'],
    ],
  },
  52: {
    what: 'rules are added once, in their order',
    held: [
      [iptables, 'after any changes are those of the intents that are left, and none when none are left'],
    ],
  },
  53: {
    what: 'classic: the rules of a published port',
    held: [['test/unit/firewall/recordings.test.ts', 'each of its rules is there, or what stands for it']],
  },
  54: {
    what: 'the user’s chain comes first, and is kept',
    held: [
      [iptables, 'comes before ours again after a sync, wherever somebody put it'],
      [iptables, 'stays with its rules when everything of ours is destroyed'],
      [
        'test/kernel/bridge/userchain.test.ts',
        'says what goes, before the rules of networks, and is left as it is',
      ],
    ],
  },
  55: {
    what: 'firewalld, and its reload',
    held: [[firewalld, 'lets pass what should, before and after a reload and a restart']],
  },
  56: {
    what: 'the policy of FORWARD becomes DROP where Docker turned forwarding on',
    held: [
      [kernelIptables, 'of the user and the policies stay as they are, through changes and destruction'],
    ],
    differs:
      'policies of chains are the host’s; what has no business with containers is forwarded as the host says',
  },
  57: {
    what: 'the rules of the other engine are removed at a start',
    held: [[kernelRules, 'leave those of others alone, also when ours are destroyed']],
    differs:
      'only rules of our own stamp are ever removed, and an engine knows its own alone: before another one is chosen, the networks of the former are deleted',
  },
  58: {
    what: 'a reload makes no rules of networks that are gone',
    held: [[watch, 'are back without those of a network that was deleted before']],
  },
  59: {
    what: 'an internal network is closed, but for itself',
    held: [
      [matrix, REACH],
      [packets, 'neither enter nor leave an internal network'],
    ],
  },
  60: {
    what: 'containers of a network reach each other',
    held: [
      [matrix, REACH],
      [packets, 'pass between containers of a network, with their own addresses'],
    ],
  },
  61: {
    what: 'those of different networks do not',
    held: [
      [matrix, REACH],
      [packets, 'do not pass between networks, nor from outside to what is not published'],
    ],
  },
  62: {
    what: 'what is reached by routing, for each mode',
    held: [
      [packets, 'are routed to what is opened in routed mode, and to everything without protection'],
      [packets, 'of echo requests pass where they should: within, out, and to routed networks'],
    ],
  },
  63: {
    what: 'a port published on a loopback address is for the host alone',
    held: [
      [
        packets,
        'to a port published on 127.0.0.1 come from the host alone, also when a neighbour forges the address',
      ],
    ],
  },
  64: {
    what: 'the rules against direct routing can be left away',
    held: [
      [
        options,
        'published ports are reached at the container from everywhere with direct routing, and no others',
      ],
      [defaults, 'is published ports by routing, where a network does not refuse it'],
    ],
    differs: 'an option of the network or of the controller, not a variable of the environment',
  },
  65: {
    what: 'a mark lets in',
    held: [
      [options, 'what a rule of the host marks comes in, to unpublished ports too, and nothing else does'],
      [defaults, 'is a mark that holds where a network says nothing of its own'],
    ],
  },
  66: {
    what: 'an isolated bridge has no address',
    held: [
      [matrix, REACH],
      ['test/unit/drivers/config.test.ts', 'give an isolated bridge, and one that inhibits it, no address'],
    ],
  },
  67: {
    what: 'a table that was closed is used no more',
    held: [[engine, 'keeps the rules when it is closed, and then refuses to work']],
  },
  68: {
    what: 'base chains, and the order of rules',
    held: [
      [diff, 'rebuilds a table whose base chain sits elsewhere, in one transaction'],
      [engine, 'whose rules stand in another order is told and put right'],
    ],
  },
  69: {
    what: 'what is there twice, or missing',
    held: [
      [engine, 'changes nothing, and a later one is not disturbed'],
      [ruleset, 'changes nothing for an intent that is set again'],
    ],
  },
  70: {
    what: 'elements of sets and maps come, go and are replaced',
    held: [
      [ruleset, 'lets a host port go from one endpoint to another within one call, in any order'],
      [diff, 'turns any table into any other, in an order that a kernel accepts'],
    ],
  },
  71: {
    what: 'what somebody deleted is back, and a later change is not disturbed',
    held: [
      [watch, 'are back within a second: nft %s'],
      [engine, 'is made whole again by the next change when it was flushed away'],
    ],
  },
  72: {
    what: 'all of a change or nothing',
    held: [
      [
        kernelRules,
        'stay untouched when one operation of a transaction is refused, and the refusal names it',
      ],
    ],
  },
  73: {
    what: 'the policy of a base chain',
    held: [[diff, 'rebuilds a table whose base chain sits elsewhere, in one transaction']],
    differs: 'all our base chains accept, as packets of others pass them',
  },
  74: {
    what: 'bad input is refused',
    held: [
      [ruleset, 'is refused: %s'],
      [engine, 'refuses the table name %j'],
    ],
  },
  75: {
    what: 'a failed change is taken back',
    held: [
      [
        kernelRules,
        'stay untouched when one operation of a transaction is refused, and the refusal names it',
      ],
      [ruleset, 'remembers nothing of a change that was not accepted'],
    ],
  },
};
