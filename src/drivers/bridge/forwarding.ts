import type { Logger } from '../../driverapi/driver.ts';
import { LibnetworkError } from '../../errors.ts';
import type { Namespace } from '../../osl/osl.ts';
import type { BridgeConfig } from './config.ts';

/**
 * Turns on the forwarding that a network needs, where it is off. Nothing else of the host's policy is touched: what
 * may be forwarded is for the rules of our own table, and those of the host, to say.
 * @throws FORBIDDEN when the kernel refuses, naming the key to set
 */
export async function ensureForwarding(host: Namespace, logger: Logger, config: BridgeConfig): Promise<void> {
  if (config.internal) return;
  if (config.ipv4 !== undefined && (await host.sysctl('net/ipv4/ip_forward')) === '0') {
    logger.info('turning on IPv4 forwarding on the host: net.ipv4.ip_forward = 1', { network: config.id });
    await set(host, 'net/ipv4/ip_forward', '1');
  }
  if (config.ipv6 !== undefined && (await host.sysctl('net/ipv6/conf/all/forwarding')) === '0') {
    logger.info('turning on IPv6 forwarding on the host: net.ipv6.conf.all.forwarding = 1', {
      network: config.id,
    });
    await keepRouterAdvertisements(host, logger);
    await set(host, 'net/ipv6/conf/default/forwarding', '1');
    await set(host, 'net/ipv6/conf/all/forwarding', '1');
  }
}

/**
 * A link with `accept_ra` 1 stops taking router advertisements once it forwards, and so loses its default route
 * minutes later; with 2 it goes on (Documentation/networking/ip-sysctl.rst).
 */
async function keepRouterAdvertisements(host: Namespace, logger: Logger): Promise<void> {
  for (const { name, kind } of await host.links()) {
    const key = `net/ipv6/conf/${name}/accept_ra`;
    if (kind === 'loopback' || (await host.sysctl(key)) !== '1') continue;
    logger.info(`keeping router advertisements on ${name}: net.ipv6.conf.${name}.accept_ra = 2`);
    await set(host, key, '2');
  }
}

async function set(host: Namespace, key: string, value: string): Promise<void> {
  try {
    await host.setSysctl(key, value);
  } catch (cause) {
    if (!LibnetworkError.is(cause)) throw cause;
    const name = key.replaceAll('/', '.');
    throw new LibnetworkError(
      cause.code,
      `the host does not forward, and ${name} can't be set (${cause.message}); set it: sysctl -w ${name}=${value}`,
      { field: name, value, operation: 'setSysctl', cause },
    );
  }
}
