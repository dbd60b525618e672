import { LibnetworkError } from '../errors.ts';
import type { NetworkId } from '../ids.ts';
import type { Driver, DriverNetwork } from './driver.ts';

/**
 * A driver that makes nothing: its sandboxes have what they have, its endpoints no link and no address, and there
 * can be one network of it. `host` and `null` are of this kind.
 */
export function linklessDriver(name: string): Driver {
  /** One, but for what a crash left in the records beside it. */
  const known = new Map<NetworkId, DriverNetwork>();

  function admit(network: DriverNetwork): void {
    const only = [...known.values()].find(({ id }) => id !== network.id);
    if (only === undefined) return;
    throw new LibnetworkError(
      'FORBIDDEN',
      `there can be only one network of driver ${name}: use network ${only.name}`,
      {
        field: 'driver',
        value: name,
        holder: `network ${only.name} (${only.id.slice(0, 12)})`,
      },
    );
  }

  return {
    name,
    capability: { dataScope: 'local', connectivityScope: 'local', usesIpam: false, resolvesNames: false },
    validateNetwork: admit,
    async createNetwork(network) {
      admit(network);
      known.set(network.id, network);
    },
    async deleteNetwork(network) {
      known.delete(network.id);
    },
    async join() {
      return { link: { kind: 'none' }, disableGatewayService: true };
    },
    async leave() {
      // Nothing was made.
    },
    async restore({ networks }) {
      for (const network of networks) known.set(network.id, network);
    },
    async reconcile() {
      return { missing: [], orphaned: [] };
    },
  };
}
