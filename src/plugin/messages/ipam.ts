/** The messages of IPAM drivers: what is asked under `/IpamDriver.…`, and what is answered. */
import { flag, message, text, texts } from '../json.ts';

export const capabilities = message({ RequiresMACAddress: flag, RequiresRequestReplay: flag });
export const addressSpaces = message({ LocalDefaultAddressSpace: text, GlobalDefaultAddressSpace: text });
export const pool = message({ PoolID: text, Pool: text, Data: texts });
export const address = message({ Address: text, Data: texts });

/** What is asked, as the server reads it. */
export const requests = {
  RequestPool: message({ AddressSpace: text, Pool: text, SubPool: text, Options: texts, V6: flag }),
  ReleasePool: message({ PoolID: text }),
  RequestAddress: message({ PoolID: text, Address: text, Options: texts }),
  ReleaseAddress: message({ PoolID: text, Address: text }),
} as const;
