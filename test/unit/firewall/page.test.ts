import { expect, it } from 'vitest';
import { firewallPage } from './page.ts';

it('the page about the firewall shows the rules as they are; -u writes it', async () => {
  await expect(firewallPage()).toMatchFileSnapshot('../../../docs/firewall.md');
});
