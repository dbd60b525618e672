export type { ConsulStoreOptions, ConsulTls } from './options.ts';
export { consulStore } from './store.ts';
