/** A Docker plugin that writes down what it is asked, and answers as a test says. It knows nothing of this package. */
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import http from 'node:http';
import type { Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Asked {
  /** `NetworkDriver.Join` */
  readonly method: string;
  readonly rawBody: string;
  readonly body: unknown;
  readonly headers: http.IncomingHttpHeaders;
}

export interface Reply {
  readonly status?: number;
  readonly body: unknown;
}

/** `undefined`: the test has answered by hand, or never will. */
export type Answering = (asked: Asked, response: http.ServerResponse) => Reply | undefined;

export class RecordingPlugin {
  readonly asked: Asked[] = [];
  readonly name: string;
  readonly directory: string;
  readonly path: string;
  /** The most connections that were open at once. */
  mostConnections = 0;
  #answer: Answering;
  #server: http.Server | undefined;
  readonly #sockets = new Set<Socket>();

  constructor(answer: Answering, options: { readonly name?: string; readonly directory?: string } = {}) {
    this.#answer = answer;
    this.name = options.name ?? 'peerplug';
    this.directory = options.directory ?? mkdtempSync(join(tmpdir(), `libnetwork-plugin-${process.pid}-`));
    this.path = join(this.directory, `${this.name}.sock`);
  }

  /** What a controller is to be opened with to find it. */
  get options() {
    return { socketDirectories: [this.directory], specDirectories: [this.directory], retryDelayMs: 5 };
  }

  get methods(): string[] {
    return this.asked.map(({ method }) => method);
  }

  answerWith(answer: Answering): void {
    this.#answer = answer;
  }

  start(): Promise<this> {
    const server = http.createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => this.#respond(request, Buffer.concat(chunks).toString(), response));
    });
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      this.mostConnections = Math.max(this.mostConnections, this.#sockets.size);
      socket.on('close', () => this.#sockets.delete(socket));
      // A client that goes away in the middle is what some tests are about.
      socket.on('error', () => undefined);
    });
    this.#server = server;
    rmSync(this.path, { force: true });
    return new Promise((resolve, reject) => {
      server.on('error', reject);
      server.listen(this.path, () => resolve(this));
    });
  }

  #respond(request: http.IncomingMessage, rawBody: string, response: http.ServerResponse): void {
    const method = (request.url ?? '').slice(1);
    const body: unknown = rawBody === '' ? null : JSON.parse(rawBody);
    const asked = { method, rawBody, body, headers: request.headers };
    this.asked.push(asked);
    const reply = this.#answer(asked, response);
    if (reply === undefined) return;
    response.writeHead(reply.status ?? 200, { 'Content-Type': 'application/vnd.docker.plugins.v1.1+json' });
    response.end(typeof reply.body === 'string' ? reply.body : JSON.stringify(reply.body));
  }

  /** Ends it, as when its process is killed: the socket's file stays. */
  async kill(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    const server = this.#server;
    this.#server = undefined;
    if (server === undefined) return;
    // Node takes the file away from under its own name only.
    renameSync(this.path, `${this.path}.dead`);
    await new Promise<void>((resolve) => server.close(() => resolve()));
    renameSync(`${this.path}.dead`, this.path);
  }

  async stop(): Promise<void> {
    await this.kill();
    rmSync(this.directory, { recursive: true, force: true });
  }
}

/** Answers to the first questions that every plugin gets. */
export const handshake: Readonly<Record<string, unknown>> = {
  'Plugin.Activate': { Implements: ['NetworkDriver', 'IpamDriver'] },
  'NetworkDriver.GetCapabilities': { Scope: 'local', ConnectivityScope: 'local' },
  'IpamDriver.GetCapabilities': { RequiresMACAddress: false, RequiresRequestReplay: false },
  'IpamDriver.GetDefaultAddressSpaces': {
    LocalDefaultAddressSpace: 'PeerLocal',
    GlobalDefaultAddressSpace: 'PeerGlobal',
  },
};

/** Answers by the method's name, and with nothing in particular where it is not named. */
export function answers(by: Readonly<Record<string, unknown>> = {}): Answering {
  return ({ method }) => ({ body: by[method] ?? handshake[method] ?? {} });
}
