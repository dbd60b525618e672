/** The controller that the settings describe: the daemon's, and that of a command which works alone. */
import {
  type ControllerOptions,
  kernelAvailability,
  LibnetworkError,
  type Logger,
  NetworkController,
} from '../../index.ts';
import { openCluster } from './cluster.ts';
import type { DaemonConfig } from './config.ts';

export interface OpenedController {
  readonly controller: NetworkController;
  /** With the store of the cluster. */
  close(): Promise<void>;
}

/**
 * Sandboxes outlive the process: it takes up all whose namespaces are there.
 * @throws FORBIDDEN where the kernel can't be used; what `openCluster` and `NetworkController.open` throw
 */
export async function openController(
  config: DaemonConfig,
  logger: Logger,
  more: Pick<ControllerOptions, 'dataDir' | 'predefined' | 'runtimeHook'>,
): Promise<OpenedController> {
  if (!config.fake) checkKernel();
  const cluster = await openCluster(config, process.env, logger);
  const osl = config.fake ? (await import('../../osl/fake/index.ts')).fakeOsl() : undefined;
  try {
    const controller = await NetworkController.open({
      runDir: config.runDir,
      instance: config.instance,
      firewall: config.firewall,
      bridge: { allowDirectRouting: config.allowDirectRouting, acceptFwmark: config.bridgeAcceptFwmark },
      defaultAddressPools: config.defaultAddressPools,
      activeSandboxes: 'all',
      osl,
      logger,
      ...cluster,
      ...more,
    });
    const close = async (): Promise<void> => {
      try {
        await controller.close();
      } finally {
        await cluster?.globalStore.close();
      }
    };
    return { controller, close };
  } catch (error) {
    await cluster?.globalStore.close();
    throw error;
  }
}

function checkKernel(): void {
  const { available, reason } = kernelAvailability();
  if (available) return;
  throw new LibnetworkError(
    'FORBIDDEN',
    `${reason}, or take --fake, a kernel in memory that needs no rights`,
    { field: 'fake' },
  );
}
