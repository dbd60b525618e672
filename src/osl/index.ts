/** `libnetwork/osl`: the only door to the kernel. */
export { errnoCodes, errnoName, kernelError } from './errno.ts';
export type {
  EndpointIntent,
  FamilyIntent,
  Firewall,
  FirewallChange,
  FirewallEngine,
  FirewallOptions,
  FirewallReport,
  Intent,
  NetworkIntent,
  Owner,
  PublishedPort,
  ResolverIntent,
} from './firewall/firewall.ts';
export { kernelAvailability, type LinuxOslOptions, linuxOsl } from './linux/index.ts';
export { onHost } from './onhost.ts';
export type * from './osl.ts';
