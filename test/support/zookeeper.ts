import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Daemon, eventually, freePorts, hasProgram } from './daemon.ts';

const JAR = '/usr/share/java/zookeeper.jar';

export const zookeeperMissing =
  existsSync(JAR) && hasProgram('java')
    ? undefined
    : 'java and ZooKeeper (Debian: libzookeeper-java, default-jre-headless) are missing';

/** A real ZooKeeper on loopback, with its data in a temporary directory. */
export class ZookeeperServer {
  readonly #directory: string;
  readonly port: number;
  #daemon: Daemon;

  private constructor(directory: string, port: number) {
    this.#directory = directory;
    this.port = port;
    this.#daemon = launch(directory);
  }

  static async start(): Promise<ZookeeperServer> {
    const directory = await mkdtemp(join(tmpdir(), `libnetwork-zookeeper-${process.pid}-`));
    const [port = 0] = await freePorts(1);
    await mkdir(join(directory, 'data'));
    await writeFile(
      join(directory, 'zoo.cfg'),
      [
        // Sessions last from two ticks to twenty: short ones, for the tests.
        'tickTime=200',
        'minSessionTimeout=400',
        'maxSessionTimeout=600000',
        `dataDir=${join(directory, 'data')}`,
        `clientPort=${port}`,
        'clientPortAddress=127.0.0.1',
        'admin.enableServer=false',
        'maxClientCnxns=0',
        'reconfigEnabled=false',
      ].join('\n'),
    );
    const server = new ZookeeperServer(directory, port);
    try {
      await server.ready();
      return server;
    } catch (error) {
      await server.stop();
      throw error;
    }
  }

  get servers(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Starts it anew with the data that it had. */
  async run(): Promise<void> {
    this.#daemon = launch(this.#directory);
    await this.ready();
  }

  async ready(): Promise<void> {
    let ended: Error | undefined;
    await eventually(async () => {
      if (!this.#daemon.running) ended ??= new Error(`ZooKeeper ended: ${this.#daemon.said}`);
      else await accepts(this.port);
    });
    if (ended !== undefined) throw ended;
  }

  kill(): Promise<void> {
    return this.#daemon.kill();
  }

  pause(): Promise<void> {
    return this.#daemon.pause();
  }

  resume(): void {
    this.#daemon.resume();
  }

  async stop(): Promise<void> {
    await this.#daemon.kill();
    await rm(this.#directory, { recursive: true, force: true });
  }
}

function launch(directory: string): Daemon {
  const jars = [
    JAR,
    '/usr/share/java/zookeeper-jute.jar',
    '/usr/share/java/slf4j-nop.jar',
    '/usr/share/java/slf4j-simple.jar',
  ];
  return new Daemon(
    'java',
    [
      ...['-Xmx128m', '-Dzookeeper.forceSync=no', '-cp', jars.join(':')],
      ...['org.apache.zookeeper.server.ZooKeeperServerMain', join(directory, 'zoo.cfg')],
    ],
    { cwd: directory },
  );
}

function accepts(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => {
      socket.destroy();
      resolve();
    });
    socket.on('error', reject);
  });
}
