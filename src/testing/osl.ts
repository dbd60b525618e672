/** The contract suite of `Osl`: what `osl.ts` promises, tested on whatever kernel is handed in. */
import { describe } from 'vitest';
import { bridgePromises } from './osl/bridges.ts';
import { encryptionPromises } from './osl/encryption.ts';
import { eventPromises } from './osl/events.ts';
import { firewallPromises } from './osl/firewall.ts';
import type { OslSuite } from './osl/ground.ts';
import { linkPromises } from './osl/links.ts';
import { namespacePromises } from './osl/namespaces.ts';
import { processPromises } from './osl/processes.ts';
import { routePromises } from './osl/routes.ts';
import { servicePromises } from './osl/services.ts';
import { socketPromises } from './osl/sockets.ts';
import { tunnelPromises } from './osl/tunnels.ts';

export type { OslSuite } from './osl/ground.ts';

/** Registers the suite with vitest. */
export function oslContract(suite: OslSuite): void {
  describe(`osl contract: ${suite.name}`, () => {
    namespacePromises(suite);
    linkPromises(suite);
    bridgePromises(suite);
    routePromises(suite);
    tunnelPromises(suite);
    encryptionPromises(suite);
    eventPromises(suite);
    socketPromises(suite);
    processPromises(suite);
    firewallPromises(suite);
    servicePromises(suite);
  });
}
