import type { Firewall } from '../osl/firewall/firewall.ts';

/** The address of the embedded name server inside every sandbox. */
export const RESOLVER_ADDRESS = '127.0.0.11';

/** Where a name server listens. */
export interface ResolverPorts {
  readonly udpPort: number;
  readonly tcpPort: number;
}

/** Redirects port 53 of the name server's address to it, replacing what a former server left in the table. */
export async function redirect(firewall: Firewall, sandboxId: string, ports: ResolverPorts): Promise<void> {
  await firewall.sync([{ kind: 'resolver', id: sandboxId, address: RESOLVER_ADDRESS, ...ports }]);
}
