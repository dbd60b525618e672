export { DEFAULT_MAX_OPERATIONS, type EtcdStoreOptions, type EtcdTls } from './options.ts';
export { etcdStore } from './store.ts';
