export type { ZookeeperStoreOptions } from './options.ts';
export { zookeeperStore } from './store.ts';
