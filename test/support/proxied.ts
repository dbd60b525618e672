import type { Datastore } from '../../src/datastore/index.ts';
import type { DatastoreSubject } from '../../src/testing/datastore.ts';
import { TcpProxy } from './tcpproxy.ts';

/** What the contract's suite needs of an engine on a port of this machine. */
export interface Proxied extends Pick<DatastoreSubject, 'open' | 'reopen' | 'sibling' | 'cut'> {
  close(): Promise<void>;
}

/** Stores that all share one engine: each has a place of its own, and a proxy before it that can be cut. */
export function proxied(
  enginePort: () => number,
  connect: (port: number, place: string) => Promise<Datastore>,
): Proxied {
  const opened = new WeakMap<Datastore, { readonly place: string; readonly proxy: TcpProxy }>();
  const proxies: TcpProxy[] = [];
  let count = 0;
  const open = async (place: string): Promise<Datastore> => {
    const proxy = await TcpProxy.to(enginePort());
    proxies.push(proxy);
    const store = await connect(proxy.port, place);
    opened.set(store, { place, proxy });
    return store;
  };
  const again = (store: Datastore) => open(opened.get(store)?.place ?? '');
  return {
    open: () => open(`test${++count}`),
    reopen: again,
    sibling: again,
    cut: async (store) => {
      opened.get(store)?.proxy.cut();
      return () => opened.get(store)?.proxy.heal();
    },
    close: async () => {
      for (const proxy of proxies) await proxy.close();
    },
  };
}
