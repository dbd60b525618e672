/** What upstream asks of /etc/hosts and resolv.conf. */
import type { Behaviours } from './behaviour.ts';

const hosts = 'test/unit/hostfiles/etchosts.test.ts';
const resolvconf = 'test/unit/hostfiles/resolvconf.test.ts';
const files = 'test/unit/hostfiles/files.test.ts';
const SUPERSEDED = 'of the classic tree alone';

export const FILES: Behaviours = {
  97: { what: 'the default lines, the same each time', held: [[hosts, 'starts with the loopback names']] },
  98: { what: 'a host name with its domain', held: [[hosts, 'writes the host name %s in %s as %s']] },
  99: { what: 'a host name', held: [[hosts, 'writes the host name %s in %s as %s']] },
  100: { what: 'a host name that holds its domain', held: [[hosts, 'writes the host name %s in %s as %s']] },
  101: {
    what: 'no own line without an address',
    held: [[hosts, 'writes no own line without a host name or an address']],
  },
  102: {
    what: 'no IPv6 lines without IPv6',
    held: [[hosts, 'leaves every IPv6 line out where IPv6 is off']],
  },
  103: {
    what: 'a line’s address is changed by its name',
    held: [[hosts, 'changes the address of lines that start with the name']],
  },
  104: {
    what: 'a longer name is another',
    held: [[hosts, 'changes the address of lines that start with the name']],
  },
  105: {
    what: 'a longer name is not removed',
    held: [[hosts, 'keep comments, blank lines and other names that start the same']],
  },
  106: {
    what: 'nothing added, nothing removed: nothing changed',
    held: [[hosts, 'do nothing for empty lists']],
  },
  107: { what: 'a line is added', held: [[hosts, 'are read back']] },
  108: {
    what: 'an empty file is no trouble',
    held: [[hosts, 'remove two of three lines, and nothing from a file of nothing']],
  },
  109: {
    what: 'two of three lines are removed',
    held: [[hosts, 'remove two of three lines, and nothing from a file of nothing']],
  },
  110: { what: 'writers at the same time lose nothing', held: [[files, 'loses no change of many at once']] },
  111: { what: 'servers are found', held: [[resolvconf, 'finds the servers of %j']] },
  112: {
    what: 'servers as prefixes',
    held: [
      [
        'test/unit/core/addresspools.test.ts',
        'keep clear of networks, routes and name servers; when none is left, the error says which took which',
      ],
    ],
  },
  113: {
    what: 'the last search line counts',
    held: [[resolvconf, 'takes the last search line, whichever directive it is, and drops the root']],
  },
  114: {
    what: 'the last options line counts',
    held: [[resolvconf, 'adds options up and finds the last of a name']],
    differs: `${SUPERSEDED}: the current one adds them up (121)`,
  },
  115: { what: 'servers, search and options are written', held: [[resolvconf, 'reads what it writes']] },
  116: {
    what: 'a search of the root alone is none',
    held: [[resolvconf, 'clears what is overridden by an empty list, and search by a dot']],
  },
  117: { what: 'no options, no line', held: [[resolvconf, 'adds no ndots']] },
  118: {
    what: 'loopback servers are left out',
    held: [[resolvconf, 'leaves out the loopback of the host, and IPv6 where it is off']],
  },
  119: {
    what: 'IPv6 servers are left out where IPv6 is off',
    held: [[resolvconf, 'leaves out the loopback of the host, and IPv6 where it is off']],
  },
  120: {
    what: 'public servers where none is left',
    held: [[resolvconf, 'puts no public server in place of the host loopback']],
    differs: 'nobody’s questions go to a stranger whom nobody named: the file says that there is none',
  },
  121: {
    what: 'the last option of a name counts',
    held: [[resolvconf, 'adds options up and finds the last of a name']],
  },
  122: {
    what: 'a file is known as edited by its hash; modes are kept',
    held: [
      [files, 'is left alone once someone edited it'],
      [files, 'is written over a file that we never wrote, and after removal'],
      [files, 'keeps the inode and the mode, and leaves nothing of a longer text'],
    ],
  },
  123: {
    what: 'overrides replace whole lists, empty ones clear them',
    held: [
      [resolvconf, 'has the servers of the user asked from the sandbox'],
      [resolvconf, 'clears what is overridden by an empty list, and search by a dot'],
      [resolvconf, 'lists only that one, and has the others asked from the host'],
    ],
  },
  124: {
    what: 'what becomes of a file without the embedded server',
    held: [
      [resolvconf, 'leaves out the loopback of the host, and IPv6 where it is off'],
      [resolvconf, 'puts no public server in place of the host loopback'],
      [resolvconf, 'keeps what the user gave, and all in the network of the host'],
    ],
    differs: 'no public servers, as under 120',
  },
  125: {
    what: 'what becomes of a file with the embedded server',
    held: [
      [resolvconf, 'lists only that one, and has the others asked from the host'],
      [resolvconf, 'has the servers of the user asked from the sandbox'],
      [resolvconf, 'takes ndots from the host'],
      [resolvconf, 'names no public server when there is none, but says so'],
    ],
  },
  126: { what: 'invalid ndots go, valid ones stay', held: [[resolvconf, 'makes of the options %j: %s']] },
  127: {
    what: 'a missing file',
    held: [[files, 'is empty when it is missing']],
    differs: 'the host’s counts as empty, as upstream’s caller has it',
  },
  128: { what: 'invalid servers are noted', held: [[resolvconf, 'notes invalid servers of the host']] },
  129: {
    what: 'the header and a blank line come first',
    held: [[resolvconf, 'lists only that one, and has the others asked from the host']],
  },
  130: {
    what: 'unknown directives are kept, after the options',
    held: [
      [resolvconf, 'keeps invalid servers apart and unknown directives as they are'],
      [resolvconf, 'writes unknown directives after the options'],
    ],
  },
  131: {
    what: 'a line that is too long is refused',
    held: [[resolvconf, 'refuses a line that is too long']],
  },
};
