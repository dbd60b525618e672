/** What was chosen, in full. */
import { type Subject, subjectOf } from '../lookup.ts';
import type { Key, Tile } from '../scene.ts';
import { liveText, membershipText, type ServiceGroup, virtualText } from '../services.ts';
import type { EndpointPlace, NetworkPlace, Topology } from '../topology.ts';
import {
  addressesOf,
  countText,
  distinctPorts,
  doorText,
  plainAddress,
  portSentence,
  shortName,
  waySentence,
} from '../words.ts';
import { type Child, h } from './element.ts';
import { facts, MAX_LISTED, pairs, rest, section } from './facts.ts';
import { Packets } from './packets.ts';
import { colourClass } from './pieces.ts';
import { StackView } from './stack.ts';

export interface DetailsActions {
  choose(key: Key, byKeyboard: boolean): void;
  fold(network: string): void;
  close(): void;
}

export interface DetailsView {
  readonly topology: Topology;
  readonly colours: ReadonlyMap<string, number>;
  readonly folded: ReadonlySet<string>;
  readonly chosen: Key | undefined;
}

export class Details {
  readonly #root: HTMLElement;
  readonly #actions: DetailsActions;
  readonly #stack = new StackView();
  readonly #packets = new Packets();
  readonly #title = h('h2', { tabindex: '-1' });
  readonly #what = h('p', { class: 'what' });
  readonly #body = h('div', { class: 'body' });
  #shown = '';

  constructor(root: HTMLElement, actions: DetailsActions) {
    this.#root = root;
    this.#actions = actions;
    const close = h('button', {
      class: 'close',
      type: 'button',
      'aria-label': 'Close the details',
      title: 'Close (Esc)',
      text: '×',
      click: () => actions.close(),
    });
    root.append(h('header', {}, h('div', {}, this.#what, this.#title), close), this.#body);
  }

  focus(): void {
    this.#title.focus();
  }

  /** Rebuilds only what has changed, so that what is open or focused in it stays. */
  show(view: DetailsView): void {
    const { topology, chosen } = view;
    const subject = chosen === undefined ? undefined : subjectOf(topology, chosen);
    this.#root.hidden = subject === undefined;
    const shown =
      subject === undefined ? '' : JSON.stringify([chosen, subject, [...view.folded], topology.host]);
    if (shown === this.#shown) return;
    this.#shown = shown;
    if (!subject) {
      this.#stack.watch(undefined);
      this.#packets.about([]);
      return;
    }
    this.#build(subject, view);
  }

  #build(subject: Subject, view: DetailsView): void {
    const tile = subject.kind === 'tile' ? subject.tile : undefined;
    this.#stack.watch(tile?.sandbox?.id);
    this.#fill(...this.#words(subject, view));
  }

  /** What it is, what it is called, and the rest. */
  #words(subject: Subject, view: DetailsView): [string, string, ...Child[]] {
    switch (subject.kind) {
      case 'host':
        return ['Host', view.topology.host.name, hostFacts(view.topology)];
      case 'other':
        return ['Another host', shortName(subject.id), this.#members(subject.tiles)];
      case 'network':
        return ['Network', subject.network.name, ...this.#network(subject, view)];
      case 'door':
        return ['Published port', doorText(subject.door.port), ...this.#door(subject, view)];
      case 'tile':
        return this.#tile(subject.tile, view);
    }
  }

  #fill(what: string, title: string, ...body: readonly Child[]): void {
    this.#what.textContent = what;
    this.#title.textContent = title;
    this.#body.replaceChildren(...body.filter((part) => part !== undefined));
  }

  #tile(tile: Tile, view: DetailsView): [string, string, ...Child[]] {
    const { sandbox, endpoints, title } = tile;
    const what = sandbox
      ? 'Container'
      : endpoints[0]?.host
        ? 'Endpoint of another host'
        : 'Endpoint, not joined';
    const own =
      sandbox &&
      facts([
        ['Container id', shortName(sandbox.containerId)],
        ['Host name', sandbox.hostname],
        ['Namespace', sandbox.namespacePath],
      ]);
    this.#packets.about(questionsOf(endpoints));
    return [
      what,
      shortName(title),
      own,
      ...endpoints.map((endpoint) => this.#endpoint(endpoint, view)),
      sandbox && this.#stack.root,
      endpoints[0]?.host === undefined ? this.#packets.root : undefined,
    ];
  }

  #endpoint(endpoint: EndpointPlace, view: DetailsView): HTMLElement {
    const network = view.topology.networks.find(({ id }) => id === endpoint.networkId);
    const ports = distinctPorts(endpoint.ports);
    return h(
      'section',
      { class: 'endpoint' },
      h(
        'h3',
        {},
        endpoint.interfaceName ? `${endpoint.interfaceName} in ` : 'In ',
        this.#link(network, view),
      ),
      facts([
        ['IPv4', endpoint.ipv4],
        ['IPv6', endpoint.ipv6],
        ['MAC', endpoint.macAddress],
        ['Link-local', endpoint.linkLocal.join(', ')],
        ['Endpoint', endpoint.name],
        ['Aliases', endpoint.aliases.join(', ')],
        ['Service', endpoint.service && membershipText(endpoint.service)],
        ['Host', endpoint.host && shortName(endpoint.host)],
      ]),
      ports.length === 0
        ? undefined
        : h('ul', { class: 'ports' }, ...ports.map((port) => h('li', { text: portSentence(port) }))),
    );
  }

  #network({ network, tiles, doors, services }: Subject & { kind: 'network' }, view: DetailsView): Child[] {
    this.#packets.about([]);
    const isFolded = view.folded.has(network.id);
    const fold = h('button', {
      class: 'plain',
      type: 'button',
      text: isFolded ? 'Show its containers in the drawing' : 'Hide its containers in the drawing',
      click: () => this.#actions.fold(network.id),
    });
    return [
      facts([
        ['Driver', network.driver],
        ['Scope', network.scope === 'global' ? 'shared by hosts' : 'this host'],
        ...network.pools.map(
          ({ subnet, gateway }) => ['Subnet', gateway ? `${subnet}, gateway ${gateway}` : subnet] as const,
        ),
        [network.driver === 'bridge' ? 'Bridge' : 'Link', network.link],
        ['Way out', waySentence(network)],
        ['Made', new Date(network.createdAt).toLocaleString()],
        ['Id', shortName(network.id)],
      ]),
      doors.length === 0 ? undefined : this.#ports(doors),
      services.length === 0 ? undefined : serviceList(services),
      this.#members(tiles, network.id),
      tiles.length === 0 ? undefined : fold,
      pairs('Options', network.options),
      pairs('Labels', network.labels),
    ];
  }

  #door({ network, tile, door }: Subject & { kind: 'door' }, view: DetailsView): Child[] {
    const endpoint = tile.endpoints.find(({ id }) => door.key.startsWith(`door:${id}:`));
    this.#packets.about(questionsOf(endpoint ? [{ ...endpoint, ports: [door.port] }] : []).slice(0, 1));
    return [
      h('p', { text: portSentence(door.port) }),
      h('p', {}, 'Of ', this.#choice(tile.key, shortName(tile.title)), ' in ', this.#link(network, view)),
      this.#packets.root,
    ];
  }

  #ports(doors: (Subject & { kind: 'network' })['doors']): HTMLElement {
    const items = doors
      .slice(0, MAX_LISTED)
      .map(({ key, port }) => h('li', {}, this.#choice(key, doorText(port))));
    return section(
      `${countText(doors.length, 'published port')}`,
      h('ul', { class: 'choices' }, ...items),
      rest(doors.length),
    );
  }

  /** @param network whose addresses are told; default: those of the first */
  #members(tiles: readonly Tile[], network?: string): HTMLElement {
    const items = tiles.slice(0, MAX_LISTED).map(({ key, title, endpoints }) => {
      const endpoint = endpoints.find(({ networkId }) => networkId === network) ?? endpoints[0];
      const [address] = endpoint ? addressesOf(endpoint) : [];
      return h(
        'li',
        {},
        this.#choice(key, shortName(title)),
        address ? h('span', { text: address }) : undefined,
      );
    });
    return section(
      countText(tiles.length, 'member'),
      h('ul', { class: 'choices' }, ...items),
      rest(tiles.length),
    );
  }

  #link(network: NetworkPlace | undefined, { colours }: DetailsView): Node {
    if (!network) return h('span', { text: 'a network that is gone' });
    const link = this.#choice(`network:${network.id}`, network.name);
    link.prepend(h('i', { class: `pip ${colourClass(colours, network.id)}` }));
    return link;
  }

  #choice(key: Key, text: string): HTMLElement {
    return h('button', {
      class: 'link',
      type: 'button',
      text,
      click: (event) => this.#actions.choose(key, event.detail === 0),
    });
  }
}

function serviceList(services: readonly ServiceGroup[]): HTMLElement {
  const entries = services
    .slice(0, MAX_LISTED)
    .map((group) => [group.service.name, `${virtualText(group.service)}, ${liveText(group)}`] as const);
  return section(countText(services.length, 'service'), facts(entries), rest(services.length));
}

function hostFacts({ host, networks, sandboxes, endpoints }: Topology): HTMLElement {
  return facts([
    ['Daemon', `dnet ${host.version}`],
    ['Instance', host.instance],
    ['Kernel', host.kernel === 'fake' ? 'in memory (--fake)' : 'Linux'],
    ['Firewall', host.firewall],
    ['Started', new Date(host.startedAt).toLocaleString()],
    ['Networks', String(networks.length)],
    ['Containers', String(sandboxes.length)],
    ['Endpoints', String(endpoints.length)],
  ]);
}

/** What is worth asking of an endpoint: who comes in by its ports, and how it gets out. */
function questionsOf(endpoints: readonly EndpointPlace[]): Parameters<Packets['about']>[0] {
  return endpoints.flatMap((endpoint) => {
    const address = plainAddress(endpoint.ipv4 ?? endpoint.ipv6);
    if (address === undefined || endpoint.sandboxId === undefined) return [];
    const ports = distinctPorts(endpoint.ports).map((port) => ({
      title: `From outside to ${port.host === 0 ? address : 'the host'}, ${doorText(port)}`,
      to: port.host === 0 ? address : 'host',
      protocol: port.protocol,
      port: port.host === 0 ? port.container : port.host,
    }));
    const out = {
      title: `From ${address} to the outside, 443`,
      from: address,
      to: 'outside',
      protocol: 'tcp' as const,
      port: 443,
    };
    return [...ports.slice(0, 8), out];
  });
}
