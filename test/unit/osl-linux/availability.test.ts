import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';

const { platform } = process;

describe('on another system than Linux', () => {
  beforeEach(() => {
    vi.resetModules();
    Object.defineProperty(process, 'platform', { value: 'darwin' });
  });
  afterEach(() => {
    Object.defineProperty(process, 'platform', { value: platform });
  });

  it('the real kernel says why it is not available', async () => {
    const { kernelAvailability } = await import('../../../src/osl/linux/availability.ts');
    expect(kernelAvailability()).toEqual({
      available: false,
      reason: 'the real kernel needs Linux, this is darwin',
    });
  });

  it('it can be made, and refuses to act before it has changed anything', async () => {
    const { linuxOsl } = await import('../../../src/osl/linux/index.ts');
    const osl = linuxOsl();
    const directory = join(tmpdir(), `libnetwork-never-${process.pid}`);
    const unavailable = { code: 'UNAVAILABLE', message: expect.stringContaining('darwin') };
    await expect(osl.createNamespace(join(directory, 'a'))).rejects.toMatchObject(unavailable);
    await expect(osl.openNamespace(join(directory, 'a'))).rejects.toMatchObject(unavailable);
    await expect(osl.deleteNamespace(join(directory, 'a'))).rejects.toMatchObject(unavailable);
    await expect(osl.host.links()).rejects.toMatchObject(unavailable);
    await expect(osl.host.sysctl('net/ipv4/ip_forward')).rejects.toMatchObject(unavailable);
    await expect(osl.host.ping('127.0.0.1')).rejects.toMatchObject(unavailable);
    expect(existsSync(directory)).toBe(false);
    await osl.close();
  });
});
