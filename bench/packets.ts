/** How fast packets pass published ports, by how many are published. */
import { join } from 'node:path';
import type { HeldPort, Namespace } from 'libnetwork/osl';
import type { Floor, FloorSamples } from './floor.ts';
import type { Ground } from './ground.ts';
import { FIRST_PORT, NETWORK, publication, TABLE } from './publishing.ts';
import { type Row, row } from './row.ts';

const FLOWS = 10_000;
const ROUNDS = 12;
const HOST = '192.0.2.1';
const CONTAINER = '10.8.1.1';
const PORT = 7000;

/**
 * Two hosts with a container behind each, one with a single published port and one with ten thousand. The same
 * 10,000 flows go to both, in turns: their first packets are looked up in the firewall's maps, the others take
 * the connections that these have made.
 */
export async function packetsBench(ground: Ground): Promise<readonly Row[]> {
  if (ground.floors.missing !== undefined) return [];
  const one = await Way.open(ground, 1);
  const many = await Way.open(ground, FLOWS);
  for (let round = 0; round < ROUNDS; round++) {
    const ways = round % 2 === 0 ? [one, many] : [many, one];
    for (const way of ways) await way.round(round > 0);
  }
  await one.close();
  await many.close();
  return [
    rates('packets', FLOWS, many.packets, one.packets),
    rates('new flows', FLOWS, many.firsts, one.firsts),
    row(`packets lost through ${FLOWS} ports`, '%', { ours: [many.lost], floor: [one.lost] }),
  ];
}

/** The rate through many ports; beside it, as floor, that through one. */
function rates(what: string, ports: number, many: readonly number[], one: readonly number[]): Row {
  const perSecond = (us: readonly number[]) => us.map((each) => 1e6 / each);
  return row(`${what} through ${ports} ports`, '/s', { ours: perSecond(many), floor: perSecond(one) });
}

/** Outside, a host that publishes, and a container. */
class Way {
  /** Microseconds per packet. */
  readonly firsts: number[] = [];
  readonly packets: number[] = [];
  readonly #host: Namespace;
  readonly #container: Namespace;
  readonly #held: HeldPort;
  readonly #blast: Floor;
  #sent = 0;
  #arrivedBefore = 0;
  #arrived = 0;

  private constructor(host: Namespace, container: Namespace, held: HeldPort, blast: Floor) {
    this.#host = host;
    this.#container = container;
    this.#held = held;
    this.#blast = blast;
  }

  static async open({ osl, directory, floors }: Ground, ports: number): Promise<Way> {
    const make = (name: string) => osl.createNamespace(join(directory, `${name}-${ports}`));
    const [outside, host, container] = [await make('outside'), await make('host'), await make('inside')];
    await host.setSysctl('net/ipv4/ip_forward', '1');
    await host.apply([
      { op: 'createLink', name: 'br0', link: { kind: 'bridge' }, up: true },
      { op: 'addAddress', link: 'br0', address: '10.8.0.1/16' },
      wire('p', container, 'br0'),
      wire('up', outside),
      { op: 'addAddress', link: 'up', address: `${HOST}/24` },
    ]);
    await end(outside, '192.0.2.2/24', HOST);
    await end(container, `${CONTAINER}/16`, '10.8.0.1');
    const firewall = await host.firewall({ engine: 'nftables', table: TABLE });
    await firewall.apply([{ set: NETWORK }, publication(ports, CONTAINER, PORT)]);
    await firewall.close();
    // What nobody listens to is answered by an error for each packet.
    const held = await container.holdPort({ protocol: 'udp', address: '0.0.0.0', port: PORT });
    while ((await outside.ping(HOST, { timeoutMs: 500 })) === undefined);
    const blast = floors.start('blast', [HOST, `${FIRST_PORT}`, `${ports}`], outside);
    return new Way(host, container, held, blast);
  }

  /** Sends a packet of each flow, then three more. */
  async round(counts: boolean): Promise<void> {
    await this.#host.flushConntrack([{ protocol: 'udp' }]);
    this.#arrivedBefore = await this.#received();
    const first = samples(await this.#blast.ask(1));
    const later = samples(await this.#blast.ask(3));
    if (!counts) return;
    this.firsts.push(...first);
    this.packets.push(...later);
    this.#sent += 4 * FLOWS;
    this.#arrived += (await this.#received()) - this.#arrivedBefore;
  }

  /** In percent of those that were sent. */
  get lost(): number {
    return Math.max(0, 100 - (100 * this.#arrived) / this.#sent);
  }

  async close(): Promise<void> {
    await this.#blast.close();
    this.#held.release();
  }

  async #received(): Promise<number> {
    return (await this.#container.link('eth0'))?.statistics.rxPackets ?? 0;
  }
}

const samples = (answer: FloorSamples): readonly number[] => answer.packet ?? [];

function wire(name: string, namespace: Namespace, master?: string) {
  const link = { kind: 'veth', peer: { name: 'eth0', namespace } } as const;
  return { op: 'createLink', name, link, up: true, master } as const;
}

async function end(namespace: Namespace, address: string, gateway: string): Promise<void> {
  await namespace.apply([
    { op: 'addAddress', link: 'eth0', address },
    { op: 'setLink', name: 'eth0', up: true },
    { op: 'addRoute', family: 'ipv4', destination: 'default', gateway },
  ]);
}
