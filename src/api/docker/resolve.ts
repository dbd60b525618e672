/** Names as Docker resolves them: the full id, the full name, the start of an id that fits one alone. */
import { LibnetworkError, type Network, type Sandbox } from '../../index.ts';
import type { ApiContext } from '../context.ts';

/** @throws NOT_FOUND; INVALID_ARGUMENT for the start of several ids */
export function findNetwork({ controller }: ApiContext, name: string): Network {
  const found = controller.network(name);
  if (found) return found;
  const [first, ...more] = /^[0-9a-f]+$/.test(name)
    ? controller.networks().filter(({ id }) => id.startsWith(name))
    : [];
  if (more.length > 0)
    throw new LibnetworkError(
      'INVALID_ARGUMENT',
      `network ${name} is ambiguous (${more.length + 1} matches found based on ID prefix)`,
      { field: 'network', value: name },
    );
  if (first) return first;
  throw new LibnetworkError('NOT_FOUND', `network ${name} not found`, { field: 'network', value: name });
}

/** The sandbox of a container, by the container's id, its start, or the sandbox's. @throws as `findNetwork` */
export function findContainer({ controller }: ApiContext, name: string | null | undefined): Sandbox {
  const facts = { field: 'Container', value: name };
  if (!name) throw new LibnetworkError('INVALID_ARGUMENT', 'invalid name or ID supplied: ""', facts);
  const found = controller.sandbox(name);
  if (found) return found;
  const [first, ...more] = controller.sandboxes().filter(({ containerId }) => containerId.startsWith(name));
  if (first && more.length === 0 && name.length >= 12) return first;
  throw new LibnetworkError('NOT_FOUND', `No such container: ${name}`, facts);
}
