export { type Hold, type HoldRequest, holdPorts } from './portmap.ts';
export type { ProxyTarget } from './proxy.ts';
