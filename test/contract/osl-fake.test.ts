import { FakeKernel, fakeOsl, type Programs } from '../../src/osl/fake/index.ts';
import { oslContract } from '../../src/testing/osl.ts';

const kernel = new FakeKernel();

const programs: Programs = {
  echo: (process) => {
    process.stdout.write(`${process.args.join(' ')}\n`);
    process.exit(0);
  },
  sleep: () => undefined,
  false: (process) => process.exit(1),
};

oslContract({
  name: 'fake',
  open: () => fakeOsl({ kernel, programs }),
  scratch: () => '/run/contract',
  leaveFile: (path) => kernel.leaveFile(path),
});
