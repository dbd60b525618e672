export {
  Bitseq,
  formatRunLength,
  MAX_BITS,
  parseRunLength,
  type Run,
  showRunLength,
} from './bitseq/index.ts';
export { createIpam, type IpamOptions } from './default.ts';
export type { DefaultPool } from './defaultpools.ts';
export { createIdm, type Idm, type IdmOptions, type IdRequest } from './idm.ts';
export type * from './ipam.ts';
export { nullIpam } from './null.ts';
export {
  AUXILIARY_ADDRESS,
  GATEWAY,
  IPV6_FROM_MAC,
  MAC_ADDRESS,
  REQUEST_ADDRESS_TYPE,
  RESERVED,
  REUSE_DELAY,
  SERIAL,
} from './options.ts';
