/** `/_ping`, `/version`, `/info`. */
import { arch, cpus, hostname, release, totalmem } from 'node:os';
import type { FastifyInstance, FastifyReply } from 'fastify';
import type { ApiContext } from '../context.ts';
import { API_VERSION, MIN_API_VERSION } from '../versioning.ts';

export function systemRoutes(app: FastifyInstance, context: ApiContext): void {
  const ping = (reply: FastifyReply): FastifyReply =>
    reply
      .header('cache-control', 'no-cache, no-store, must-revalidate')
      .header('pragma', 'no-cache')
      .header('swarm', 'inactive')
      .type('text/plain; charset=utf-8')
      .serializer(String);
  const schema = { tags: ['docker'], summary: 'Whether the daemon answers' };
  app.get('/_ping', { schema }, async (_request, reply) => ping(reply).send('OK'));
  app.head('/_ping', { schema: { ...schema, hide: true } }, async (_request, reply) => ping(reply).send(''));
  app.get('/version', { schema: { tags: ['docker'], summary: 'Versions' } }, async () => versions(context));
  app.get('/info', { schema: { tags: ['docker'], summary: 'The daemon and its host' } }, async () =>
    info(context),
  );
}

const GO_ARCH: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64' };

function versions({ about }: ApiContext): object {
  const architecture = GO_ARCH[arch()] ?? arch();
  const details = {
    ApiVersion: API_VERSION,
    Arch: architecture,
    BuildTime: '',
    Experimental: 'false',
    GitCommit: '',
    GoVersion: '',
    KernelVersion: release(),
    MinAPIVersion: MIN_API_VERSION,
    NodeVersion: process.version,
    Os: 'linux',
  };
  return {
    Platform: { Name: 'libnetwork' },
    Components: [{ Name: 'Engine', Version: about.version, Details: details }],
    Version: about.version,
    ApiVersion: API_VERSION,
    MinAPIVersion: MIN_API_VERSION,
    GitCommit: '',
    GoVersion: '',
    Os: 'linux',
    Arch: architecture,
    KernelVersion: release(),
    BuildTime: '',
  };
}

function info({ controller, about }: ApiContext): object {
  const { drivers, firewall } = controller.parts;
  const sandboxes = controller.sandboxes().length;
  return {
    ID: controller.id,
    Name: hostname(),
    ServerVersion: about.version,
    OSType: 'linux',
    OperatingSystem: 'libnetwork',
    Architecture: arch() === 'x64' ? 'x86_64' : arch(),
    KernelVersion: release(),
    NCPU: cpus().length,
    MemTotal: totalmem(),
    Containers: sandboxes,
    ContainersRunning: sandboxes,
    ContainersPaused: 0,
    ContainersStopped: 0,
    Images: 0,
    Driver: '',
    SystemTime: new Date().toISOString(),
    Plugins: { Volume: [], Network: [...drivers].sort(), Authorization: null, Log: [] },
    Swarm: { LocalNodeState: 'inactive' },
    FirewallBackend: { Driver: firewall },
    Labels: [`instance=${controller.instance}`],
    Warnings: null,
  };
}
