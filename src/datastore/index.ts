export { type ConsulStoreOptions, type ConsulTls, consulStore } from './consul/index.ts';
export * from './datastore.ts';
export { type EtcdStoreOptions, type EtcdTls, etcdStore } from './etcd/index.ts';
export { type LevelStoreOptions, levelStore } from './level.ts';
export { type MemoryStoreOptions, memoryStore } from './memory.ts';
export { MemoryBacking, memoryBacking, type StoreClock } from './memory-backing.ts';
export { type ZookeeperStoreOptions, zookeeperStore } from './zookeeper/index.ts';
