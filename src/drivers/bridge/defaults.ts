/** What holds for all bridge networks of a controller, but for those whose own options say otherwise. */
import { invalid } from '../../errors.ts';
import type { PacketMark } from '../../osl/firewall/firewall.ts';

export interface BridgeDefaults {
  /** Published ports are reached directly from everywhere. Default: false. */
  readonly allowDirectRouting?: boolean | undefined;
  /** What bears this mark may come in: `1`, or `0x1/0xff`. Default: nothing. */
  readonly acceptFwmark?: string | undefined;
}

/** Numbers as C writes them, as Docker takes them. */
const NUMBER = /^(0x[0-9a-f]+|0[0-7]*|[1-9][0-9]*)$/i;
const ALL_BITS = 0xffffffff;

/** A mark, with a mask if need be; none of an empty text. @throws INVALID_ARGUMENT naming the field */
export function parseMark(field: string, text: string): PacketMark | undefined {
  if (text === '') return undefined;
  const [value, mask, ...others] = text.split('/').map(parseBits);
  if (value === undefined || (mask === undefined && text.includes('/')) || others.length > 0)
    throw invalid(
      field,
      text,
      'must be a mark of 32 bits such as 1 or 0x1, with a mask if need be: 0x1/0xff',
    );
  if ((value & ~(mask ?? ALL_BITS)) !== 0)
    throw invalid(field, text, 'can fit no packet: its mark has bits that its mask has not');
  return { value, mask: mask ?? ALL_BITS };
}

function parseBits(text: string): number | undefined {
  if (!NUMBER.test(text)) return undefined;
  const bits = /^0[0-7]+$/.test(text) ? Number.parseInt(text, 8) : Number(text);
  return bits <= ALL_BITS ? bits : undefined;
}
