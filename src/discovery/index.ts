export * from './discovery.ts';
export { forwardHosts, type HostListener } from './forward.ts';
export { staticDiscovery } from './static.ts';
export { type StoreDiscoveryOptions, storeDiscovery } from './store.ts';
