/** Metrics for Prometheus, at `/metrics`. What makes them is loaded when they are first asked for. */
import type { FastifyInstance } from 'fastify';
import type { ApiContext } from './context.ts';
import { health } from './native/state.ts';
import type { Asked, LoadedMetrics } from './registry.ts';

export class Metrics {
  readonly #asked: Asked;
  #loading: Promise<LoadedMetrics> | undefined;
  #loaded: LoadedMetrics | undefined;

  constructor(asked: Asked) {
    this.#asked = asked;
  }

  /** @param api `docker`, `libnetwork` or `dnet` */
  request(api: string, status: number, seconds: number): void {
    this.#loaded?.request(api, status, seconds);
  }

  async text(): Promise<{ readonly type: string; readonly text: string }> {
    this.#loading ??= this.#load();
    const { registry } = await this.#loading;
    return { type: registry.contentType, text: await registry.metrics() };
  }

  close(): void {
    this.#loaded?.close();
  }

  async #load(): Promise<LoadedMetrics> {
    const { makeRegistry } = await import('./registry.ts');
    this.#loaded = makeRegistry(this.#asked);
    return this.#loaded;
  }
}

export function metricsRoutes(app: FastifyInstance, context: ApiContext): void {
  const tags = ['dnet'];
  app.get(
    '/metrics',
    { schema: { tags, summary: 'Metrics as text for Prometheus' } },
    async (_request, reply) => {
      const { type, text } = await context.metrics.text();
      return reply.type(type).serializer(String).send(text);
    },
  );
  app.get('/health', { schema: { tags, summary: 'Whether the daemon works' } }, async () => health(context));
}
