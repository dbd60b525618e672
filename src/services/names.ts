import type { ServiceMembership } from '../records.ts';

/** What an endpoint is called for the service that it belongs to. One that is being drained is not found by these. */
export function backendNames(service: ServiceMembership | undefined): string[] {
  if (!service?.enabled) return [];
  const names = [service.name, ...service.aliases];
  const tasks = names.map((name) => `tasks.${name}`);
  return service.mode === 'dnsrr' ? [...tasks, ...names] : tasks;
}
