/** Who of us holds which port, so that a conflict can be told by name. The kernel alone decides who gets one. */
import { familyOf } from '../../ip.ts';
import type { Namespace, PortSpec } from '../osl.ts';

/** By protocol and port; by address in that. */
type Ports = Map<string, Map<string, string>>;

const ports = new WeakMap<Namespace, Ports>();

/** Notes a holder; the answer forgets it. */
export function note(host: Namespace, { protocol, port, address }: PortSpec, holder: string): () => void {
  const known = ports.get(host) ?? new Map<string, Map<string, string>>();
  ports.set(host, known);
  const key = `${protocol} ${port}`;
  const addresses = known.get(key) ?? new Map<string, string>();
  known.set(key, addresses);
  addresses.set(address, holder);
  return () => {
    addresses.delete(address);
    if (addresses.size === 0 && known.get(key) === addresses) known.delete(key);
  };
}

/** Who of us stands in the way of a port: on the same address, or with either of the two on every address. */
export function holderAt(host: Namespace, { protocol, port, address }: PortSpec): string | undefined {
  const addresses = ports.get(host)?.get(`${protocol} ${port}`) ?? new Map<string, string>();
  for (const [other, holder] of addresses) {
    if (familyOf(other) !== familyOf(address)) continue;
    if (other === address || isEvery(other) || isEvery(address)) return holder;
  }
  return undefined;
}

function isEvery(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
