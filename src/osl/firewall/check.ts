/** What an intent must be before it is compiled. Its texts become rules, so nothing unusual gets through. */
import { invalid } from '../../errors.ts';
import { FAMILIES, familyOf, parsePrefix } from '../../ip.ts';
import type {
  BackendIntent,
  EndpointIntent,
  FamilyIntent,
  Intent,
  LinkIntent,
  NetworkIntent,
  PolicyPart,
  PolicyPeer,
  PublishedPort,
  ResolverIntent,
  ServiceIntent,
} from './firewall.ts';

const MODES: readonly string[] = ['nat', 'nat-unprotected', 'routed', 'isolated'];
const PROTOCOLS: readonly string[] = ['tcp', 'udp', 'sctp'];
const MAX_INTERFACE_NAME = 15;

/** @throws INVALID_ARGUMENT naming the field */
export function checkIntent(intent: Intent): void {
  if (intent.id === '') throw invalid('id', intent.id, 'an owner needs an id');
  if (intent.kind === 'network') checkNetwork(intent);
  else if (intent.kind === 'endpoint') checkEndpoint(intent);
  else if (intent.kind === 'link') checkLink(intent);
  else if (intent.kind === 'resolver') checkResolver(intent);
  else if (intent.kind === 'service') checkService(intent);
  else if (intent.kind === 'backend') checkBackend(intent);
  else checkPolicyPart(intent);
}

function checkPolicyPart(intent: PolicyPart): void {
  if (intent.kind === 'allowed') {
    checkSetName(intent.set);
    checkAddress(intent.address);
    return;
  }
  checkBridge(intent.bridge);
  if (intent.kind === 'member') {
    intent.sets.forEach(checkSetName);
    intent.addresses.forEach(checkAddress);
    return;
  }
  for (const [i, { from = [], to = [], ports = [], comment }] of intent.rules.entries()) {
    if (!/^[ -~]*$/.test(comment)) throw invalid(`rules[${i}].comment`, comment, 'expected plain text');
    for (const peer of [...from, ...to]) checkPeer(`rules[${i}]`, peer);
    for (const { first, last = first } of ports) {
      if (first !== undefined) checkNumber(`rules[${i}].ports`, first);
      if (last !== undefined) checkNumber(`rules[${i}].ports`, last);
    }
  }
}

function checkPeer(field: string, peer: PolicyPeer): void {
  if (peer.kind === 'members' || peer.kind === 'names') checkSetName(peer.set);
  if (peer.kind !== 'prefix') return;
  const { prefix } = peer;
  if (prefix.includes('/') ? parsePrefix(prefix) === undefined : familyOf(prefix) === undefined)
    throw invalid(field, prefix, 'expected an address, or a prefix without host bits');
}

function checkSetName(name: string): void {
  if (!/^[a-z0-9-]{1,32}$/.test(name))
    throw invalid('set', name, 'expected up to 32 lower case letters and digits');
}

function checkAddress(address: string): void {
  if (familyOf(address) === undefined) throw invalid('address', address, 'expected an address');
}

function checkNetwork(intent: NetworkIntent): void {
  checkBridge(intent.bridge);
  for (const name of intent.trusted ?? []) checkInterface('trusted', name);
  for (const family of FAMILIES) {
    const settings = intent[family];
    if (settings !== undefined) checkFamily(family, settings);
  }
}

function checkFamily(family: 'ipv4' | 'ipv6', { subnet, mode, masquerade }: FamilyIntent): void {
  if (parsePrefix(subnet)?.family !== family)
    throw invalid(`${family}.subnet`, subnet, `expected an ${family} prefix without host bits`);
  if (!MODES.includes(mode)) throw invalid(`${family}.mode`, mode, `expected one of ${MODES.join(', ')}`);
  if (typeof masquerade === 'string' && familyOf(masquerade) !== family)
    throw invalid(`${family}.masquerade`, masquerade, `expected true, false or an ${family} address`);
}

function checkLink({ bridge, ports }: LinkIntent): void {
  checkBridge(bridge);
  for (const [index, { protocol, source, address, port }] of ports.entries()) {
    const field = `ports[${index}]`;
    if (!PROTOCOLS.includes(protocol))
      throw invalid(`${field}.protocol`, protocol, `expected one of ${PROTOCOLS.join(', ')}`);
    if (familyOf(address) === undefined) throw invalid(`${field}.address`, address, 'expected an address');
    if (familyOf(source) !== familyOf(address))
      throw invalid(`${field}.source`, source, `expected an address of the family of ${address}`);
    checkNumber(`${field}.port`, port);
  }
}

function checkEndpoint(intent: EndpointIntent): void {
  checkBridge(intent.bridge);
  for (const [index, port] of intent.ports.entries()) checkPort(`ports[${index}]`, port);
}

function checkPort(field: string, port: PublishedPort): void {
  if (!PROTOCOLS.includes(port.protocol))
    throw invalid(`${field}.protocol`, port.protocol, `expected one of ${PROTOCOLS.join(', ')}`);
  const family = familyOf(port.hostAddress);
  if (family === undefined) throw invalid(`${field}.hostAddress`, port.hostAddress, 'expected an address');
  if (familyOf(port.address) !== family)
    throw invalid(`${field}.address`, port.address, `expected an ${family} address, as hostAddress is one`);
  checkNumber(`${field}.port`, port.port);
  if (port.hostPort !== undefined) checkNumber(`${field}.hostPort`, port.hostPort);
}

function checkResolver(intent: ResolverIntent): void {
  if (familyOf(intent.address) === undefined)
    throw invalid('address', intent.address, 'expected a loopback address');
  checkNumber('udpPort', intent.udpPort);
  checkNumber('tcpPort', intent.tcpPort);
}

function checkService({ address, backends }: ServiceIntent): void {
  checkAddress(address);
  if (!Number.isInteger(backends) || backends < 1)
    throw invalid('backends', backends, 'expected how many there are, one at least');
}

function checkBackend({ service, slot, address }: BackendIntent): void {
  checkAddress(service);
  if (familyOf(address) !== familyOf(service))
    throw invalid('address', address, 'expected an address of the family of the service');
  if (!Number.isInteger(slot) || slot < 0) throw invalid('slot', slot, 'expected a number from 0 on');
}

function checkNumber(field: string, port: number): void {
  if (!Number.isInteger(port) || port < 1 || port > 65535)
    throw invalid(field, port, 'expected a port from 1 to 65535');
}

function checkBridge(name: string): void {
  checkInterface('bridge', name);
}

/** Names that the kernel takes as an interface's, less those that would need quoting in a ruleset's text. */
function checkInterface(field: string, name: string): void {
  if (!/^[A-Za-z0-9_.:@+-]+$/.test(name) || name.length > MAX_INTERFACE_NAME)
    throw invalid(
      field,
      name,
      `expected an interface name of 1 to ${MAX_INTERFACE_NAME} letters, digits or _.:@+-`,
    );
}
