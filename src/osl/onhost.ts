import type { Namespace, Osl } from './osl.ts';

/**
 * The same kernel with a namespace of the caller's as its `host`: a controller on it makes bridges, rules and published
 * ports there, and the machine's own network stays as it is. For laboratories and tests.
 */
export function onHost(osl: Osl, host: Namespace): Osl {
  return {
    kind: osl.kind,
    host,
    createNamespace: (at) => osl.createNamespace(at),
    openNamespace: (at) => osl.openNamespace(at),
    deleteNamespace: (at) => osl.deleteNamespace(at),
    listNamespaces: (at) => osl.listNamespaces(at),
    close: () => osl.close(),
  };
}
