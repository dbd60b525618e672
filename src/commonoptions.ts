/** Options of a network that hold with every driver. Pure. */
import * as v from 'valibot';
import { advertisingOf } from './announce.ts';
import { invalid } from './errors.ts';
import { interfacePrefix } from './fields.ts';
import { labels, type OptionValues, textOption } from './labels.ts';

/** @throws INVALID_ARGUMENT naming the option */
export function checkCommonOptions(options: OptionValues): void {
  advertisingOf(options);
  interfacePrefixOf(options);
}

/** What the interfaces in a container are called before their number, where the network says so. @throws INVALID_ARGUMENT */
export function interfacePrefixOf(options: OptionValues): string | undefined {
  const text = textOption(options, labels.containerInterfacePrefix);
  if (text === undefined) return undefined;
  const { success, issues } = v.safeParse(interfacePrefix, text);
  if (success) return text;
  throw invalid(labels.containerInterfacePrefix, text, issues[0].message);
}
