/** What a namespace tells those who watch it. Part of the osl contract. */
import type { Link } from './link.ts';
import type { LinkAddress, Route } from './osl.ts';

export type NamespaceEvent =
  /** A link is there, as it is now, or `gone`. Counters are left away. */
  | { readonly kind: 'link'; readonly gone: boolean; readonly link: Omit<Link, 'statistics'> }
  | { readonly kind: 'address'; readonly gone: boolean; readonly address: LinkAddress }
  /** Of the main table. */
  | { readonly kind: 'route'; readonly gone: boolean; readonly route: Route }
  /** More was told than was taken: read the tables again to know what holds. */
  | { readonly kind: 'lost' };
