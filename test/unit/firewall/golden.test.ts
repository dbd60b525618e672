import { describe, expect, it } from 'vitest';
import { renderTable } from '../../../src/osl/firewall/render.ts';
import { Ruleset } from '../../../src/osl/firewall/ruleset.ts';
import { SCENES } from './intents.ts';

describe('the table of every kind and mode of intent', () => {
  it.each(Object.entries(SCENES))('%s is the golden file', async (name, intents) => {
    const table = Ruleset.of('libnetwork-test', intents).table();
    const text = table === undefined ? '' : renderTable(table);
    await expect(text).toMatchFileSnapshot(`../../golden/firewall/${name}.nft`);
  });
});
