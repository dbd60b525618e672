/** Whether iptables can label connections, as a latch needs it (`firewall/latch.ts`). */
import { closeSync, openSync } from 'node:fs';
import { LibnetworkError } from '../../../errors.ts';
import { CHAINS } from '../../firewall/connectionlabels.ts';
import { labelText } from '../../firewall/iptables/rules.ts';
import { inNewNamespace } from '../window.ts';
import { type IptablesVariant, run } from './programs.ts';

/** The variants that can: they are asked no more. */
const able = new Set<IptablesVariant | undefined>();

/**
 * Why rules of iptables can't label connections: that is a match of its own (xt_connlabel). `undefined`: they can.
 * @param variant by default the one that `iptables` is on this machine
 */
export async function whyNoLabels(
  variant: IptablesVariant | undefined,
): Promise<LibnetworkError | undefined> {
  if (able.has(variant)) return undefined;
  const why = await tryOne(variant);
  if (why === undefined) able.add(variant);
  return why;
}

/** Makes one in a namespace of its own. */
async function tryOne(variant: IptablesVariant | undefined): Promise<LibnetworkError | undefined> {
  const fd = inNewNamespace(() => openSync('/proc/thread-self/ns/net', 'r'));
  try {
    const program = ['iptables', ...(variant === undefined ? [] : [variant]), 'restore'].join('-');
    await run(fd, program, ['--noflush'], `*filter\n-A FORWARD ${labelText(CHAINS.forward)}\nCOMMIT\n`);
    return undefined;
  } catch (error) {
    if (LibnetworkError.is(error)) return error;
    throw error;
  } finally {
    closeSync(fd);
  }
}
