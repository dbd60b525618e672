import type { Element } from './model.ts';

/** An element's key as one text, as nftables writes it: `tcp . 10.9.0.2 . 80`. */
export function keyText(key: Element['key']): string {
  return key.join(' . ');
}
