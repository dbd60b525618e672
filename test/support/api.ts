import { type Api, type ApiLimits, createApi } from '../../src/api/index.ts';
import type { NetworkController } from '../../src/index.ts';

const drop = (): void => undefined;

/** The HTTP interfaces over a controller on a kernel in memory, without a socket and without a log. */
export function apiOver(controller: NetworkController, limits: Partial<ApiLimits> = {}): Promise<Api> {
  const about = { version: '1.2.3', kernel: 'fake', startedAt: new Date(0) } as const;
  const logger = { debug: drop, info: drop, warn: drop, error: drop };
  return createApi({ controller, about, logger, limits });
}
