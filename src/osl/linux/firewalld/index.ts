/** firewalld, where it runs: `zoned.ts` says what for. */
import { existsSync } from 'node:fs';
import { LibnetworkError } from '../../../errors.ts';
import type { FirewallOptions } from '../../firewall/firewall.ts';
import type { Warner } from '../deletes.ts';
import { systemBusAddress } from './bus.ts';
import { Firewalld } from './firewalld.ts';

export { ZonedFirewall } from './zoned.ts';

const PID_FILE = '/run/firewalld.pid';

/**
 * The daemon that has a say in the packet filter of a namespace; `undefined` where there is none to speak with.
 * @throws UNAVAILABLE, NOT_IMPLEMENTED for a bus that was asked for
 */
export async function findFirewalld(
  wanted: NonNullable<FirewallOptions['firewalld']>,
  logger: Warner | undefined,
): Promise<Firewalld | undefined> {
  if (wanted === 'off') return undefined;
  if (wanted !== 'auto') return Firewalld.open(wanted.bus, logger);
  const address = systemBusAddress();
  if (address === undefined) return undefined;
  try {
    return await Firewalld.open(address, logger);
  } catch (error) {
    if (!LibnetworkError.is(error)) throw error;
    if (existsSync(PID_FILE))
      logger?.warn('firewalld runs, and nobody tells it of our bridges: it may refuse what they forward', {
        error,
      });
    return undefined;
  }
}
