import { parseStamp, shortHash, stamp } from '../ids.ts';
import type { Link } from '../osl/osl.ts';

/** How a driver's links tell that they are its own. */
export interface Mark {
  readonly instance: string;
  /** What links of ours carry in `alias`. */
  stamp(id: string): string;
  /**
   * The link group of all our links, derived from the instance. The kernel takes it with the create request, the
   * alias only with a second one: a link with our group and no alias is ours, and was left half made by a crash.
   */
  readonly group: number;
  /** The id of the network or endpoint that a link is for, `undefined` for a link that is not ours. */
  ownerOf(link: Link): string | undefined;
  /** True for a link of ours that has not got its stamp. */
  isHalfMade(link: Link): boolean;
}

export function markOf(instance: string): Mark {
  // Groups are 31 bits. People use small numbers, and the osl takes the upper half for links that it deletes.
  const group = (Number.parseInt(shortHash(instance, 8), 16) & 0x1fff_ffff) | 0x2000_0000;
  return {
    instance,
    group,
    stamp: (id) => stamp(instance, id),
    ownerOf: (link) => {
      const parsed = parseStamp(link.alias);
      return parsed?.instance === instance ? parsed.id : undefined;
    },
    isHalfMade: (link) => link.alias === undefined && link.group === group,
  };
}
