import { describe, expect, it } from 'vitest';
import { goldenTexts } from './golden.ts';
import { SCENES } from './intents.ts';

describe.each(Object.entries(SCENES))('the rules of every kind and mode of intent: %s', (name, intents) => {
  it.each(goldenTexts(intents))('for %s are the golden file', async (extension, text) => {
    await expect(text).toMatchFileSnapshot(`../../golden/firewall/${name}.${extension}`);
  });
});
