/** Whether this host's kernel encrypts what it is told to. */
import { randomBytes } from 'node:crypto';
import { LibnetworkError } from '../../../errors.ts';
import { type Family, familyOf } from '../../../ip.ts';
import type { Namespace, XfrmState } from '../../../osl/osl.ts';
import { canonical, type Mark, spiOf } from './associations.ts';

const MODULE: Readonly<Record<Family, string>> = { ipv4: 'esp4', ipv6: 'esp6' };
/** Settings by which a link sends or takes what policies would encrypt or refuse. IPv6 has only the second. */
const EXCEPTIONS: Readonly<Record<Family, readonly string[]>> = {
  ipv4: ['disable_xfrm', 'disable_policy'],
  ipv6: ['disable_policy'],
};

/**
 * Makes an association that nobody uses, and removes it.
 * @throws NOT_IMPLEMENTED without ESP in the kernel, saying what to load; UNAVAILABLE where a setting of the host
 * makes exceptions from encryption, naming it; FORBIDDEN without the privileges
 */
export async function checkKernel(host: Namespace, address: string, { reqid }: Mark): Promise<void> {
  const family = familyOf(address) ?? 'ipv4';
  await checkSettings(host, address, family);
  const own = canonical(address);
  const state: XfrmState = {
    ...{ source: own, destination: own, spi: spiOf(0, 0), mode: 'transport', reqid },
    ...{ key: randomBytes(36), icvBits: 128, replayWindow: 1_024, esn: true },
  };
  try {
    await host.applyXfrm([
      { op: 'addState', state },
      { op: 'deleteState', state },
    ]);
  } catch (error) {
    // Left by one that was cut off, or another check at the same time.
    if (LibnetworkError.is(error, 'ALREADY_EXISTS') || LibnetworkError.is(error, 'NOT_FOUND')) return;
    if (!LibnetworkError.is(error, 'NOT_IMPLEMENTED')) throw error;
    const { errno, operation } = error;
    throw new LibnetworkError(
      'NOT_IMPLEMENTED',
      `this kernel can't encrypt (it has no ESP with AES-GCM): load it with "modprobe ${MODULE[family]}", or use a kernel with CONFIG_INET${family === 'ipv6' ? '6' : ''}_ESP and CONFIG_CRYPTO_GCM`,
      { field: 'encrypted', ...(errno ? { errno } : {}), ...(operation ? { operation } : {}), cause: error },
    );
  }
}

async function checkSettings(host: Namespace, address: string, family: Family): Promise<void> {
  const own = (await host.addresses()).find((each) => each.address.split('/')[0] === canonical(address));
  for (const link of ['all', ...(own ? [own.link] : [])])
    for (const setting of EXCEPTIONS[family]) {
      const key = `net/${family}/conf/${link}/${setting}`;
      const value = await host.sysctl(key);
      if (value === undefined || value.trim() === '0') continue;
      throw new LibnetworkError(
        'UNAVAILABLE',
        `this host makes exceptions from encryption: set ${key.replaceAll('/', '.')} to 0`,
        { field: key, value },
      );
    }
}
