import { LibnetworkError } from './errors.ts';
import type { Namespace } from './osl/osl.ts';

/**
 * Turns IPv6 on or off for an interface, or for those to come (`default`). A kernel without IPv6 has no such key:
 * there is nothing to turn off then. @throws NOT_FOUND when it is to be turned on and the kernel has none
 */
export async function setIpv6(namespace: Namespace, interfaceName: string, on: boolean): Promise<void> {
  try {
    await namespace.setSysctl(`net/ipv6/conf/${interfaceName}/disable_ipv6`, on ? '0' : '1');
  } catch (error) {
    if (on || !LibnetworkError.is(error, 'NOT_FOUND')) throw error;
  }
}
