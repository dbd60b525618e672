/** The daemon: one controller, one server, and their end. */
import { readFileSync, rmSync } from 'node:fs';
import { constants } from 'node:os';
import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import {
  type Api,
  apiLimits,
  createApi,
  createWebApi,
  listen,
  listenUnix,
  serverFactory,
  type TlsFiles,
} from '../../api/index.ts';
import { type Host, isLoopback, parseHost, parseTcp, type TcpHost } from '../../client/host.ts';
import { LibnetworkError, type Logger } from '../../index.ts';
import { isIgnored, onSignals } from '../signals.ts';
import { packageVersion } from '../version.ts';
import type { DaemonConfig } from './config.ts';
import { type OpenedController, openController } from './controller.ts';
import { giveBack } from './memory.ts';
import { handedSocket, type ServiceManager, serviceManager } from './servicemanager.ts';

/** How long requests under way may take after the signal to stop. */
const STOP_MS = 10_000;
/** How soon a connection that rests is closed then. */
const CHECK_MS = 50;

/** Runs until a signal. @throws whatever keeps it from starting, with nothing left behind */
export async function runDaemon(config: DaemonConfig): Promise<void> {
  // By default it would let everybody on this host debug the process, which is root.
  onSignals(['SIGUSR1'], () => undefined);
  const { host, tls, limits, web } = checked(config);
  const logger = loggerOf(config);
  const manager = await serviceManager(process.env);
  const { dataDir, predefined, runtimeHook } = config;
  const opened = await openController(config, logger, { dataDir, predefined, runtimeHook });
  const { controller } = opened;
  const started: Started = { opened, manager, logger };
  try {
    const fd = handedSocket(process.env, process.pid);
    const isWired = host.kind === 'tcp' && fd === undefined;
    started.api = await createApi({
      controller,
      logger,
      limits,
      about: {
        version: packageVersion(),
        kernel: config.fake ? 'fake' : 'linux',
        startedAt: new Date(),
      },
      serverFactory: serverFactory(limits, isWired ? tls : undefined),
    });
    await listenAt(started.api, host, fd, config);
    if (host.kind === 'unix' && fd === undefined) started.path = host.path;
    if (web) started.web = await openWeb(started.api, web);
  } catch (error) {
    await stop(started);
    throw error;
  }
  await giveBack();
  // Whoever hears that it is ready may ask it to stop at once.
  const signalled = asked();
  manager.tell('READY=1');
  logger.info('ready', {
    host: config.host,
    instance: controller.instance,
    web: started.web && urlOf(started.web),
  });
  const signal = await signalled;
  logger.info('stopping', { signal });
  manager.tell('STOPPING=1');
  await stop(started);
  logger.info('stopped');
}

interface Started {
  readonly opened: OpenedController;
  readonly manager: ServiceManager;
  readonly logger: Logger;
  api?: Api;
  web?: FastifyInstance;
  /** The socket's file, where it is ours. */
  path?: string;
}

function checked(config: DaemonConfig) {
  const host = parseHost(config.host);
  const limits = apiLimits(config.limits);
  const tls = host.kind === 'tcp' ? readTls(config) : undefined;
  return { host, limits, tls, web: webAddress(config) };
}

/** By TCP only those come in that show a certificate. @throws INVALID_ARGUMENT without one; NOT_FOUND */
function readTls({ tlsCaCert, tlsCert, tlsKey }: DaemonConfig): TlsFiles {
  if (tlsCaCert === undefined || tlsCert === undefined || tlsKey === undefined)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      'host: tcp needs --tlscacert, --tlscert and --tlskey, since whoever reaches the daemon is root on this host',
      { field: 'host' },
    );
  const read = (file: string): string => {
    try {
      return readFileSync(file, 'utf8');
    } catch (error) {
      throw new LibnetworkError('NOT_FOUND', `the certificate or key ${file} can't be read`, {
        value: file,
        cause: error,
      });
    }
  };
  return { ca: read(tlsCaCert), cert: read(tlsCert), key: read(tlsKey) };
}

function loggerOf({ logLevel }: DaemonConfig): Logger {
  const log = pino({ name: 'dnet', level: logLevel }, pino.destination({ dest: 2, sync: true }));
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (message: string, facts: object = {}): void => {
      const { error, ...rest }: { error?: unknown } = { ...facts };
      log[level](error === undefined ? rest : { ...rest, err: error }, message);
    };
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

async function listenAt(
  { app }: Api,
  host: Host,
  fd: number | undefined,
  { socketMode, socketGroup }: DaemonConfig,
): Promise<void> {
  if (fd !== undefined) await listen(app.server, { fd });
  else if (host.kind === 'tcp') await listen(app.server, { host: host.host, port: host.port });
  else
    await listenUnix(app.server, host.path, {
      mode: Number.parseInt(socketMode, 8),
      group: socketGroup,
    });
}

/** @throws INVALID_ARGUMENT for what is no address, and for one that others reach unless that is wanted */
function webAddress({ web, webExposed }: DaemonConfig): TcpHost | undefined {
  if (web === undefined) return undefined;
  const address = parseTcp(web);
  if (address && (webExposed || isLoopback(address.host))) return address;
  const wanted = 'an address of the loopback and a port, such as 127.0.0.1:8080';
  const why = address
    ? `others reach ${web}, and the page asks for no password: name ${wanted}, or add --web-exposed`
    : `must be ${wanted}, got ${web}`;
  throw new LibnetworkError('INVALID_ARGUMENT', `web: ${why}`, { field: 'web', value: web });
}

/** Where the page is: the port is the kernel's choice where it was given as 0. */
function urlOf({ server }: FastifyInstance): string | undefined {
  const address = server.address();
  if (address === null || typeof address === 'string') return undefined;
  const host = address.family === 'IPv6' ? `[${address.address}]` : address.address;
  return `http://${host}:${address.port}/`;
}

async function openWeb(api: Api, { host, port }: TcpHost): Promise<FastifyInstance> {
  const web = await createWebApi(api, { host });
  await listen(web.server, { host, port });
  return web;
}

/**
 * The first signal to stop; a second one ends at once. A terminal that is closed is one too, unless `nohup` says
 * otherwise.
 */
function asked(): Promise<string> {
  const { SIGHUP } = constants.signals;
  const stopping: readonly NodeJS.Signals[] = ['SIGINT', 'SIGTERM', 'SIGQUIT'];
  return new Promise((resolve) => {
    const forget = onSignals(isIgnored(SIGHUP) ? stopping : [...stopping, 'SIGHUP'], (signal) => {
      forget();
      onSignals(stopping, () => process.exit(1));
      resolve(signal);
    });
  });
}

/** Past failures, which are logged. Sandboxes, links and rules stay for the next daemon. */
async function stop({ api, web, path, opened, manager, logger }: Started): Promise<void> {
  const closing = async (what: string, close: () => unknown): Promise<void> => {
    try {
      await close();
    } catch (error) {
      logger.error(`${what} could not be closed`, { error });
    }
  };
  const servers = [web, api?.app].flatMap((app) => app?.server ?? []);
  const late = setTimeout(() => {
    for (const server of servers) server.closeAllConnections();
  }, STOP_MS);
  // A connection whose last request was under way rests only now.
  const resting = setInterval(() => {
    for (const server of servers) server.closeIdleConnections();
  }, CHECK_MS);
  const closed = servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve())));
  await closing('the server', () => api?.close());
  await closing('the page', () => web?.close());
  await Promise.all(closed);
  clearTimeout(late);
  clearInterval(resting);
  await closing('the controller', () => opened.close());
  if (path !== undefined) rmSync(path, { force: true });
  manager.close();
}
