/** What a driver is written against: the contract, the kernel it acts on, and the words for its errors. */
export { type ErrorCode, type ErrorFacts, invalid, LibnetworkError, throwIfAborted } from '../errors.ts';
export {
  bridgeName,
  type EndpointId,
  type NetworkId,
  newMacAddress,
  parseStamp,
  type SandboxId,
  shortHash,
  stamp,
  vethName,
} from '../ids.ts';
export * from '../labels.ts';
export type * from '../osl/firewall/firewall.ts';
export type * from '../osl/osl.ts';
export type * from './driver.ts';
export { type Mark, markOf } from './mark.ts';
export { DriverRegistry } from './registry.ts';
