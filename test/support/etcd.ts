import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Etcd3 } from 'etcd3';
import { Daemon, eventually, freePorts, hasProgram } from './daemon.ts';

export const etcdMissing = hasProgram('etcd')
  ? undefined
  : 'the program etcd (Debian: etcd-server) is missing';

interface Member {
  readonly name: string;
  readonly clientPort: number;
  readonly peerPort: number;
  daemon: Daemon | undefined;
}

export interface EtcdOptions {
  readonly members?: number;
  /** Files for TLS: clients then need a certificate of the same authority. */
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string };
}

/** A real etcd on loopback, with its data in a temporary directory. */
export class EtcdServer {
  readonly #directory: string;
  readonly #members: readonly Member[];
  readonly #tls: EtcdOptions['tls'];

  private constructor(directory: string, members: readonly Member[], tls: EtcdOptions['tls']) {
    this.#directory = directory;
    this.#members = members;
    this.#tls = tls;
  }

  /** Tries again when somebody else took one of its ports meanwhile. */
  static async start(options: EtcdOptions = {}, attempts = 4): Promise<EtcdServer> {
    try {
      return await EtcdServer.#start(options);
    } catch (error) {
      if (attempts <= 1 || !/address already in use/.test(String(error))) throw error;
      return EtcdServer.start(options, attempts - 1);
    }
  }

  static async #start(options: EtcdOptions): Promise<EtcdServer> {
    const directory = await mkdtemp(join(tmpdir(), `libnetwork-etcd-${process.pid}-`));
    const count = options.members ?? 1;
    const ports = await freePorts(count * 2);
    const members = Array.from({ length: count }, (_, i) => ({
      name: `m${i}`,
      clientPort: ports[2 * i] ?? 0,
      peerPort: ports[2 * i + 1] ?? 0,
      daemon: undefined as Daemon | undefined,
    }));
    const server = new EtcdServer(directory, members, options.tls);
    try {
      for (let i = 0; i < count; i++) server.run(i);
      for (let i = 0; i < count; i++) await server.ready(i);
    } catch (error) {
      await server.stop();
      throw error;
    }
    return server;
  }

  get endpoints(): string[] {
    return this.#members.map((_, i) => this.endpoint(i));
  }

  endpoint(i: number): string {
    return `${this.#tls ? 'https' : 'http'}://127.0.0.1:${this.#member(i).clientPort}`;
  }

  /** Starts a member, anew with the data that it had. */
  run(i: number): void {
    const member = this.#member(i);
    const peer = (each: Member) => `http://127.0.0.1:${each.peerPort}`;
    const tls = this.#tls;
    member.daemon = new Daemon('etcd', [
      ...['--name', member.name, '--data-dir', join(this.#directory, member.name)],
      ...['--listen-client-urls', this.endpoint(i), '--advertise-client-urls', this.endpoint(i)],
      ...['--listen-peer-urls', peer(member), '--initial-advertise-peer-urls', peer(member)],
      ...['--initial-cluster', this.#members.map((each) => `${each.name}=${peer(each)}`).join(',')],
      ...['--initial-cluster-token', this.#directory, '--logger', 'zap', '--log-level', 'error'],
      ...(tls
        ? ['--trusted-ca-file', tls.ca, '--cert-file', tls.cert, '--key-file', tls.key, '--client-cert-auth']
        : []),
    ]);
  }

  /** Waits until a member takes connections and has a leader. */
  async ready(i: number): Promise<void> {
    const { daemon } = this.#member(i);
    const client = this.client(i);
    let ended: Error | undefined;
    try {
      await eventually(async () => {
        if (daemon?.running !== true) ended ??= new Error(`etcd ended: ${daemon?.said}`);
        else await client.get('health').options({ deadline: Date.now() + 1_000 });
      });
    } finally {
      client.close();
    }
    if (ended !== undefined) throw ended;
  }

  /** A client of the package's own, for what the store does not do. */
  client(i = 0): Etcd3 {
    const tls = this.#tls;
    return new Etcd3({
      hosts: this.endpoint(i),
      ...(tls && {
        credentials: {
          rootCertificate: readFileSync(tls.ca),
          privateKey: readFileSync(tls.key),
          certChain: readFileSync(tls.cert),
        },
      }),
    });
  }

  port(i = 0): number {
    return this.#member(i).clientPort;
  }

  /** Makes etcd forget all history up to now. */
  async compact(): Promise<void> {
    const client = this.client();
    try {
      const { header } = await client.kv.range({ key: Buffer.from('x') });
      await client.kv.compact({ revision: header.revision, physical: true });
    } finally {
      client.close();
    }
  }

  async kill(i = 0): Promise<void> {
    await this.#member(i).daemon?.kill();
  }

  async pause(i = 0): Promise<void> {
    await this.#member(i).daemon?.pause();
  }

  resume(i = 0): void {
    this.#member(i).daemon?.resume();
  }

  async stop(): Promise<void> {
    for (const { daemon } of this.#members) await daemon?.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }

  #member(i: number): Member {
    const member = this.#members[i];
    if (member === undefined) throw new Error(`there is no member ${i}`);
    return member;
  }
}
