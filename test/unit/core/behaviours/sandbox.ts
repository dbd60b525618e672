/** What upstream asks of sandboxes, ways out, and several hosts. */
import type { Behaviours } from './behaviour.ts';

const sandboxes = 'test/unit/core/sandboxes.test.ts';
const upstream = 'test/unit/core/upstream.test.ts';
const gateway = 'test/unit/core/gateway.test.ts';
const gateways = 'test/unit/core/gateways.test.ts';
const gwbridge = 'test/unit/core/gwbridge.test.ts';
const late = 'test/unit/core/latebinding.test.ts';
const resolvconf = 'test/unit/hostfiles/resolvconf.test.ts';
const files = 'test/unit/hostfiles/files.test.ts';
const shared = 'test/unit/globalscope/endpoints.test.ts';
const RELOAD = 'removed from the current tree: a controller’s stores are chosen when it is opened';
const SUPERSEDED = 'of the classic tree alone';

export const SANDBOX: Behaviours = {
  50: {
    what: 'a sandbox made and deleted leaves no place taken',
    held: [[upstream, 'is one more while it is there, found by both its ids, and none when it is deleted']],
  },
  51: {
    what: 'the highest priority gives the way out, as endpoints come and go',
    held: [
      [gateways, 'goes to the highest priority and comes back when that one leaves'],
      [gateway, 'lets the higher priority win, also over an endpoint with both families'],
    ],
  },
  52: {
    what: 'equal priorities go by the network’s name',
    held: [[gateways, 'goes by the networks’ names where priorities are the same']],
    differs: `${SUPERSEDED} in its details: 53`,
  },
  53: {
    what: 'both families before one, then by name, internal networks last',
    held: [
      [gateway, 'prefers, at equal priority, the endpoint that gives both families'],
      [gateway, 'takes an internal network last'],
      [gateway, 'goes by the network name, then by the order of joins'],
    ],
  },
  54: {
    what: 'the gateway is chosen for each family on its own',
    held: [[gateways, 'is chosen for each family on its own']],
  },
  55: {
    what: 'a sandbox is found by its container, and is not when it is deleted',
    held: [[upstream, 'is one more while it is there, found by both its ids, and none when it is deleted']],
    differs: '`undefined` where upstream has an error',
  },
  56: {
    what: 'bad ndots are an error',
    held: [[resolvconf, 'makes of the options %j: %s']],
    differs: `${SUPERSEDED}: 57`,
  },
  57: { what: 'bad ndots become ndots:0', held: [[resolvconf, 'makes of the options %j: %s']] },
  58: {
    what: 'IPv6 servers stay in resolv.conf',
    held: [[resolvconf, 'lists only that one, and has the others asked from the host']],
    differs: `${SUPERSEDED}: 61`,
  },
  59: {
    what: 'the host’s resolv.conf for the host’s namespace',
    held: [
      [sandboxes, 'on the host uses the host’s name servers'],
      [files, 'makes the file, readable by all whatever the umask, and its folder'],
    ],
  },
  60: {
    what: 'a file that the user edited survives',
    held: [
      [files, 'is left alone once someone edited it'],
      ['test/unit/core/changes.test.ts', 'leaves a resolv.conf alone that somebody edited'],
    ],
  },
  61: {
    what: 'the embedded server, search, and ndots:0; the host’s own on the host',
    held: [
      [resolvconf, 'lists only that one, and has the others asked from the host'],
      [resolvconf, 'keeps what the user gave, and all in the network of the host'],
      [sandboxes, 'on the host uses the host’s name servers'],
    ],
  },
  132: {
    what: 'an endpoint without a way out gets one by docker_gwbridge',
    held: [[gwbridge, 'comes with the first endpoint that has no way out']],
  },
  133: {
    what: 'it goes with a network that has a gateway, and the bridge stays',
    held: [[gwbridge, 'goes when a network with a gateway is joined, and comes back when that is left']],
  },
  134: {
    what: 'it comes back when that network is left',
    held: [[gwbridge, 'goes when a network with a gateway is joined, and comes back when that is left']],
  },
  135: {
    what: 'it never comes for internal networks, the null or the host driver',
    held: [[gwbridge, 'never comes for %s']],
  },
  136: { what: 'it never comes where the driver wants none', held: [[gwbridge, 'never comes for %s']] },
  137: {
    what: 'it never comes where the driver gives a default route',
    held: [[gwbridge, 'never comes for %s']],
  },
  138: {
    what: 'sandboxes at the same time make one',
    held: [[gwbridge, 'is made once when several sandboxes need it at the same time']],
  },
  139: {
    what: 'its endpoint goes with the sandbox',
    held: [[gwbridge, 'stays over a restart, and its endpoint goes with the sandbox']],
  },
  140: {
    what: 'two hosts count endpoints',
    held: [
      [
        'test/unit/globalscope/networks.test.ts',
        'are not deleted while another host has an endpoint on them',
      ],
    ],
    differs: 'nothing is counted: endpoints are listed',
  },
  141: {
    what: 'endpoints of other hosts are resolved, also renamed, and not when they are gone',
    held: [
      [shared, 'are resolved by name on the other hosts'],
      [shared, 'are resolved by their new name when their sandbox is renamed'],
    ],
  },
  142: {
    what: 'who has no endpoint on a network knows no names of it',
    held: [[shared, 'are resolved by name only where the network is used']],
  },
  143: {
    what: 'a crash within a deletion: the next start ends it',
    held: [
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is a title as it stands in the file.
      ['test/unit/crash/sweep.test.ts', 'leaves no object, address or record behind: ${mode}, $what'],
      ['test/unit/crash/simulate.test.ts', 'keeps its invariants'],
    ],
  },
  144: {
    what: 'a network without its count is not shown',
    held: [
      [
        'test/unit/core/networks.test.ts',
        'is shown with the endpoints that are stored, which nothing has counted',
      ],
    ],
    differs: 'there is no count to miss: it is shown whatever else is stored',
  },
  145: {
    what: 'one sandbox for each container',
    held: [
      [sandboxes, 'is the only one of its container'],
      [sandboxes, 'takes up the sandboxes that are alive and deletes the others'],
    ],
    differs: 'ALREADY_EXISTS in place of Forbidden; there are no stubs to adopt',
  },
  146: {
    what: 'a configuration is reloaded',
    held: [
      [
        'test/unit/core/networks.test.ts',
        'keeps its pool when a controller is opened with other ones, from which new networks take theirs',
      ],
    ],
    differs: RELOAD,
  },
  147: {
    what: 'the hook’s socket answers in words, or exactly `success`',
    held: [
      [late, 'is told what is wrong, in words'],
      [late, 'answers exactly success, and leaves the connection to the other side'],
    ],
  },
};
