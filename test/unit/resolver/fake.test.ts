import { describe } from 'vitest';
import { fakeOsl } from '../../../src/osl/fake/index.ts';
import { askFromHere } from '../../kernel/resolver/setting.ts';
import { engines, resolverSteps } from '../../kernel/resolver/steps.ts';
import type { TestHost } from '../../support/kernel.ts';

async function withFakeHost(work: (test: TestHost) => Promise<void>): Promise<void> {
  const osl = fakeOsl();
  await osl.host.apply([{ op: 'setLink', name: 'lo', up: true }]);
  const directory = '/run/netns';
  const path = (name: string) => `${directory}/${name}`;
  try {
    await work({ osl, host: osl.host, directory, path, create: (name) => osl.createNamespace(path(name)) });
  } finally {
    await osl.close();
  }
}

describe.each(engines)('the name server of a sandbox in memory, with the firewall engine %s', (engine) => {
  resolverSteps(engine, withFakeHost, askFromHere);
});
