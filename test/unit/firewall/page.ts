/** The page about the firewall, made of the golden files' texts: `docs/firewall.md`. */
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import { goldenTexts } from './golden.ts';
import { SCENES } from './intents.ts';

/** What each scene of the golden files is, and why its rules are as they are. */
const WHY: Readonly<Record<string, readonly [title: string, why: string]>> = {
  nat: [
    'Network, mode `nat`, both families',
    'Containers reach everything with the address of the host, and are reached by published ports only, so that a network needs no route from outside.',
  ],
  'nat-ipv4-only': [
    'Network, mode `nat`, IPv4 alone',
    'What the network does not have is judged all the same: containers have IPv6 link-local addresses, and a forgotten family is an open door.',
  ],
  'nat-ipv6-only': [
    'Network, mode `nat`, IPv6 alone',
    'The same the other way round: one code path makes the rules of both families.',
  ],
  'nat-unprotected': [
    'Network, mode `nat-unprotected`',
    'Whoever has a route to the containers reaches all of their ports, for networks that another firewall protects; addresses stay hidden on the way out.',
  ],
  routed: [
    'Network, mode `routed`',
    'Addresses are real and nothing is translated: published ports and echo requests come in by routing, and nothing else does.',
  ],
  isolated: [
    'Network, mode `isolated`',
    'The bridge has no address, so that nothing can pass to or from other interfaces: that is refused in both directions rather than left to the lack of a route.',
  ],
  'nat-and-routed': [
    'Network, IPv4 in mode `nat`, IPv6 in mode `routed`',
    'Each family has a mode of its own, as IPv6 has addresses enough to be routed where IPv4 has not.',
  ],
  internal: [
    'Internal network',
    'Judged by interface and not by address, so that a forged source does not get in; between containers everything passes.',
  ],
  'internal-without-icc': [
    'Internal network whose containers may not talk to each other',
    'Bridged packets are judged as well where the kernel shows them to the IP hooks (br_netfilter); the bridge driver sees to that.',
  ],
  'without-icc': [
    'Network whose containers may not talk to each other',
    'A published port is still reached from within, by the address of the host, as from everywhere else.',
  ],
  'routed-without-icc': [
    'Routed network whose containers may not talk to each other',
    'There is nothing translated to let in from within, so that only the published ports from outside are left.',
  ],
  'without-masquerade': [
    'Network, mode `nat`, without masquerading',
    'Containers leave with their own addresses, for hosts that others route to; only the way back into the own network is still translated, or answers would miss the translation.',
  ],
  'snat-to-one-address': [
    'Network, mode `nat`, leaving with one address',
    'A host with several addresses shows the one that was chosen, whichever interface the packet leaves by.',
  ],
  'marked-and-direct': [
    'Network with direct routing, and a mark that lets in',
    'The host may say of single packets that they come in, by a mark of its own; and published ports may be reached without translation too, where a router leads to the containers.',
  ],
  links: [
    'Linked endpoints, where containers may not talk to each other',
    'One may reach certain ports of another; answers belong to what was begun.',
  ],
  'two-networks': [
    'Two networks',
    'Neither reaches the other: each lets in answers and its own published ports, and nothing must be said of pairs.',
  ],
  'published-ports': [
    'Endpoint with published ports',
    'A port of every address, of one address, and of a loopback address, which is for the host alone even when a neighbour forges it; `::1` is left to a proxy, as answers to it cannot come from another interface.',
  ],
  'opened-ports': [
    'Endpoint with opened ports, in a routed network',
    'Without a host port nothing is translated: the port of the container is opened as it is.',
  ],
  policy: [
    'Network with a policy, and two of its endpoints',
    'A policy only ever refuses, in chains of its own before those that protect: what it lets pass is judged there all the same. Who an endpoint is, and what names stand for, are elements of sets, so that neither a packet nor a join costs more on a full network. With the engine iptables these chains are in a table of nf_tables too, `libnetwork-<instance>-policy`, as iptables alone has no sets.',
  ],
  services: [
    'Services of a sandbox',
    'The first packet of a connection to the address of a service goes to a backend that is drawn; connection tracking leads the rest there, whatever becomes of the map. A backend that comes or goes is one element and the one rule that says how many there are, whatever their number. Sandboxes always use nf_tables for them.',
  ],
  resolver: [
    'Resolver, in the namespace of a sandbox',
    'DNS to port 53 goes to the free ports that the resolver has found, so that the container may use port 53 itself; answers find back by connection tracking.',
  ],
  'resolver-ipv6': [
    'Resolver on an IPv6 loopback address',
    'The same; iptables can set a source port without an address for IPv4 only, and nothing needs it.',
  ],
};

/** Where rules differ from those of Docker 28 with its userland proxy off, and why. */
const DIFFERENCES: readonly (readonly [where: string, docker: string, ours: string, why: string])[] = [
  [
    'every rule but `FORWARD -j DOCKER-USER`',
    'no comment',
    'the comment `libnetwork-<instance>`',
    'so that only what is ours is ever removed, and two controllers do not disturb each other',
  ],
  [
    '`DOCKER-INTERNAL`',
    'judges by subnet',
    'judges by interface',
    'a forged source address does not get into an internal network',
  ],
  [
    '`raw PREROUTING`',
    'nothing for loopback addresses',
    '`-d 127.0.0.0/8 -i BRIDGE -j DROP`',
    'bridges route loopback addresses, for ports published on 127.0.0.1: containers must not use that',
  ],
  [
    '`DOCKER-FORWARD`, containers may not talk to each other',
    'all refused',
    'what was translated is let in',
    'published ports are reached from their own network too, which Docker leaves to its proxy',
  ],
  [
    '`DOCKER-FORWARD`, containers may not talk to each other',
    'refuses IPv6 neighbour discovery as well',
    'lets it pass',
    'a linked container is found over IPv6 too',
  ],
  [
    'links',
    'for IPv4, and none in internal networks',
    'for both families, everywhere',
    'both families or neither',
  ],
  [
    '`nat POSTROUTING`',
    'masquerades a container that reaches itself, one rule for each port',
    'masquerades all that comes back translated, one rule for each network',
    'answers to the neighbour of a published container must pass the host as well',
  ],
  [
    '`nat POSTROUTING`',
    'masquerades all local addresses of the host',
    'masquerades 127.0.0.0/8',
    'containers see the true address of the host where they can answer it',
  ],
  [
    'a network without masquerading',
    'drops all that comes to a published container directly',
    'lets in to its port only what was translated',
    'answers to what the container asks outside come to its own address',
  ],
  [
    '`FORWARD`, `DOCKER-INTERNAL`, `DOCKER`',
    'no such rules',
    'rules without a target, `-m connlabel --label … --set`, at the top of each, and behind the jump to `DOCKER-USER`',
    'labels for the latch. The texts below are without them',
  ],
  [
    'a family that a network does not have',
    'no rules',
    'those of mode `nat` without published ports',
    'containers have link-local addresses all the same',
  ],
];

const INTRODUCTION = `# The firewall

The firewall's rules are data: drivers say what should hold (intents), one compiler makes a table for nftables of it,
another the chains of Docker for iptables, and an engine makes the kernel hold exactly that by the smallest change.
The same packets pass with either; the tests on the kernel send them through both, and through both variants of
iptables. This page is made of the files in \`test/golden/firewall\`; \`npx vitest run test/unit/firewall -u\` writes it.

| | \`nftables\` | \`iptables\` |
| --- | --- | --- |
| needs | nothing: it speaks netlink | \`iptables-save\`, \`iptables-restore\` and those of IPv6 (package \`iptables\`) |
| where | one table of ours, \`inet libnetwork-<instance>\` | Docker's chains; rules of ours bear the comment \`libnetwork-<instance>\` |
| a change | one transaction | one process for each family that changes; each table is a transaction, and a failure undoes the others |
| cost of a change | that of what changes | grows with the number of rules |
| somebody removes rules | they are back at once, by the kernel's notifications; until then the latch keeps networks shut, and where there is none, connections that slipped in are ended | the same with the variant nft; with legacy, of which the kernel tells nothing, they are back within a second. The latch is the same, in a table of nf_tables |
| the user's word | the chain \`user\` of our table, called first, and a chain of a lower priority in a table of yours: \`nft add rule inet libnetwork-default user ip saddr 203.0.113.0/24 drop\`. Its rules are never changed, and stay when the last network goes; \`accept\` there lets pass what the networks' rules would refuse (but no policy) | \`DOCKER-USER\`: made if missing, called first, never changed |

## The latch

The latch is a second table, \`libnetwork-<instance>-latch\`, that only the process that made it can change, and that ends
with it; the rules themselves stay, and containers go on. The rules label each new connection of our bridges that they
see (bits 117 to 127 of the connection's label), and the latch refuses those that have no label: it is neutral while the
rules are there, closed when they are gone, and knows no other bridges. Connections that passed once go on, and are still
translated. A table with an owner takes Linux 5.12, labels a kernel with CONFIG_NF_CONNTRACK_LABELS, and those of iptables
the match \`connlabel\` as well; without them there is no latch, and a warning in the log.

One label is put on before your chain and whatever you say there, the others by the chains of each network, one for each
way. So a single chain that is flushed is as shut as the whole, and a packet that is within the rules at the instant of a
flush does not pass either: \`nf_tables_commit\` begins the new generation for all chains and maps at one instant, but a
packet that is on its way keeps the chains of the old one (\`nft_do_chain\`) and finds the maps empty already. Then the
chain of its network has not labelled it, and the last rule of \`forward\` refuses it. The test floods unpublished ports
while rules are flushed, and asks for none to pass.

| emptied alone, until it is repaired | |
| --- | --- |
| \`forward\`, \`in-…\`, \`out-…\`, the sets and maps of bridges; \`FORWARD\`, \`DOCKER-FORWARD\`, \`DOCKER-BRIDGE\`, \`DOCKER-INTERNAL\`, \`DOCKER\` | nothing new passes that they would have judged |
| \`nat-postrouting\`, \`nat-…\` | nothing new leaves with an address that should be hidden. With iptables (\`-t nat -F\`) it does leave, and is ended afterwards: a rule of the host's before ours may be there to that end, and no label could tell the two apart |
| \`raw-prerouting\`; \`raw\` of iptables | ports published on a loopback address stay for the host alone, and the host's loopback addresses out of the containers' reach. Published ports are reached by the host's address only; with iptables not so in networks that have \`trusted_host_interfaces\`, or a mark |
| \`publish\`, \`nat-prerouting\`, \`nat-output\`; \`nat DOCKER\` | published ports lead nowhere, but for those of \`::1\`, which a proxy hands on |
| the chains of policies | nothing new passes, in or out, of the network that has the policy |
| the sets of a policy's own (\`members4-…\`) | its rules about these members or names fit nobody: what they deny passes, and is ended afterwards |

With iptables the first label is a rule that has to be the first of \`FORWARD\`, as what a rule of yours accepts before it
would have none: where somebody puts one there, ours, and no other, is moved to the top again.

Take \`iptables\` where the policy of the host or its tools demand it; two engines must not be used at once for the same
networks. Policies and chains of others are never changed by either. A host whose \`FORWARD\` policy is \`DROP\` and that
uses nftables here must let the networks pass in its own rules, as no table can undo the \`drop\` of another.

The texts below can be loaded: the first of each pair by \`nft -f\`, the second by \`iptables-restore --noflush\` and by
\`ip6tables-restore --noflush\`, each of which skips the lines of the other.
`;

export function firewallPage(): string {
  return [
    INTRODUCTION,
    differences(),
    ...Object.entries(SCENES).map(([name, intents]) => scene(name, intents)),
  ].join('\n');
}

function differences(): string {
  const rows = DIFFERENCES.map((cells) => `| ${cells.join(' | ')} |\n`).join('');
  return `## Where the iptables engine differs from Docker 28

Chains, their order and the rest of the rules are Docker's, as with its userland proxy off.

| where | Docker | here | why |
| --- | --- | --- | --- |
${rows}`;
}

function scene(name: string, intents: readonly Intent[]): string {
  const [title, why] = WHY[name] ?? [];
  if (title === undefined) throw new Error(`say in page.ts what the scene ${name} is, and why`);
  const texts = goldenTexts(intents).map(
    ([extension, text]) =>
      `<details><summary>${extension === 'nft' ? 'nftables' : 'iptables'}</summary>\n\n\`\`\`\n${text}\`\`\`\n\n</details>\n`,
  );
  const asked = intents.map((intent) => `${JSON.stringify(intent)}\n`).join('');
  return `## ${title}\n\n${why}\n\n\`\`\`json\n${asked}\`\`\`\n\n${texts.join('\n')}`;
}
