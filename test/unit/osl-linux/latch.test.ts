import { beforeEach, expect, it, vi } from 'vitest';
import { kernelError } from '../../../src/osl/errno.ts';
import { whyNoLatch } from '../../../src/osl/linux/nftables/latch.ts';
import { inNewNamespace } from '../../../src/osl/linux/window.ts';

vi.mock(import('../../../src/osl/linux/window.ts'), async (original) => ({
  ...(await original()),
  inNewNamespace: vi.fn(),
}));
const enter = vi.mocked(inNewNamespace);
beforeEach(() => void enter.mockReset());

it('asks again after a refusal that passes, and no more after one of a kernel that lacks latches', async () => {
  const outOfFiles = Object.assign(new Error('too many open files'), { code: 'EMFILE' });
  enter.mockImplementationOnce(() => {
    throw outOfFiles;
  });
  expect(await whyNoLatch()).toMatchObject({ errno: 'EMFILE' });
  enter.mockImplementationOnce(() => {
    throw kernelError('make a table', 'EOPNOTSUPP');
  });
  expect(await whyNoLatch()).toMatchObject({ errno: 'EOPNOTSUPP' });
  expect(await whyNoLatch()).toMatchObject({ errno: 'EOPNOTSUPP' });
  expect(enter).toHaveBeenCalledTimes(2);
});
