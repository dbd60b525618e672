import { expect, it, vi } from 'vitest';
import { LibnetworkError } from '../../../src/errors.ts';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import type { Intent } from '../../../src/osl/firewall/firewall.ts';
import { SandboxRules } from '../../../src/services/sandboxrules.ts';
import { silent } from '../../../src/testing/driver-fixtures.ts';

const web: readonly Intent[] = [
  { kind: 'service', id: 'web', address: '10.9.0.9', backends: 1 },
  { kind: 'backend', id: 'web 0', service: '10.9.0.9', slot: 0, address: '10.9.0.2' },
];

it('ends its handle also where the rules can not be removed', async () => {
  const namespace = await fakeOsl().createNamespace('/run/c1');
  const firewall = await namespace.firewall({ engine: 'nftables', table: 'services' });
  vi.spyOn(namespace, 'firewall').mockResolvedValue(firewall);
  vi.spyOn(firewall, 'close');
  const options = { namespace, table: 'services', inherited: false, wanted: () => [], logger: silent };
  const rules = new SandboxRules(options);
  await rules.change({ rules: web.map((set) => ({ set })), gone: [] });
  vi.spyOn(firewall, 'destroy').mockRejectedValue(new LibnetworkError('UNAVAILABLE', 'not now'));
  await expect(rules.close(true)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  expect(firewall.close).toHaveBeenCalledTimes(1);
});
