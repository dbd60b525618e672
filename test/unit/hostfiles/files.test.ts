import {
  appendFile,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { addEntries, removeEntries } from '../../../src/hostfiles/etchosts.ts';
import {
  editInPlace,
  isEdited,
  readHostResolvConf,
  removeResolvConf,
  watchHostResolvConf,
  writeInPlace,
  writeResolvConf,
} from '../../../src/hostfiles/files.ts';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), `hostfiles-${process.pid}-`));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const at = (name: string) => join(folder, name);

describe('writing in place', () => {
  it('makes the file, readable by all whatever the umask, and its folder', async () => {
    const before = process.umask(0o077);
    try {
      await writeInPlace(at('deep/er/hosts'), 'text\n');
    } finally {
      process.umask(before);
    }
    expect((await stat(at('deep/er/hosts'))).mode & 0o777).toBe(0o644);
    expect(await readFile(at('deep/er/hosts'), 'utf8')).toBe('text\n');
  });

  it('keeps the inode and the mode, and leaves nothing of a longer text', async () => {
    await writeFile(at('hosts'), 'a much longer text\n', { mode: 0o640 });
    const before = await stat(at('hosts'));
    await writeInPlace(at('hosts'), 'short\n');
    const after = await stat(at('hosts'));
    expect([after.ino, after.mode]).toEqual([before.ino, before.mode]);
    expect(await readFile(at('hosts'), 'utf8')).toBe('short\n');
  });

  it('loses no change of many at once', async () => {
    await writeInPlace(at('hosts'), '172.17.0.1\tfirst\n');
    const entries = Array.from({ length: 10 }, (_, i) => [{ address: `10.0.0.${i}`, names: [`n${i}`] }]);
    await Promise.all(
      entries.flatMap((list) =>
        Array.from({ length: 25 }, async () => {
          await editInPlace(at('hosts'), (content) => addEntries(content, list));
          await editInPlace(at('hosts'), (content) => removeEntries(content, list));
        }),
      ),
    );
    expect(await readFile(at('hosts'), 'utf8')).toBe('172.17.0.1\tfirst\n');
  });

  it('goes on after a failed change', async () => {
    const failing = editInPlace(at('hosts'), () => {
      throw new Error('no');
    });
    const next = editInPlace(at('hosts'), () => 'text\n');
    await expect(failing).rejects.toThrow('no');
    await next;
    expect(await readFile(at('hosts'), 'utf8')).toBe('text\n');
  });
});

describe('resolv.conf of a sandbox', () => {
  it('is written again and again while nobody edits it', async () => {
    for (const content of ['one\n', 'two\n', 'three\n']) {
      expect(await writeResolvConf(at('resolv.conf'), content)).toBe('written');
      expect(await readFile(at('resolv.conf'), 'utf8')).toBe(content);
    }
    expect((await readdir(folder)).toSorted()).toEqual(['resolv.conf', 'resolv.conf.hash']);
    expect(await readFile(at('resolv.conf.hash'), 'utf8')).toMatch(/^sha256:[0-9a-f]{64}$/);
  });

  it('is left alone once someone edited it', async () => {
    await writeResolvConf(at('resolv.conf'), 'one\n');
    await appendFile(at('resolv.conf'), 'nameserver 10.0.0.1\n');
    expect(await isEdited(at('resolv.conf'))).toBe(true);
    expect(await writeResolvConf(at('resolv.conf'), 'two\n')).toBe('kept');
    expect(await readFile(at('resolv.conf'), 'utf8')).toBe('one\nnameserver 10.0.0.1\n');
  });

  it('does not look edited after a crash between its steps', async () => {
    await writeResolvConf(at('resolv.conf'), 'one\n');
    const hash = await readFile(at('resolv.conf.hash'), 'utf8');
    await writeResolvConf(at('resolv.conf'), 'two\n');
    await writeFile(at('resolv.conf.hash'), `${await readFile(at('resolv.conf.hash'), 'utf8')}\n${hash}`);
    for (const content of ['one\n', 'two\n']) {
      await writeFile(at('resolv.conf'), content);
      expect(await isEdited(at('resolv.conf'))).toBe(false);
    }
    expect(await writeResolvConf(at('resolv.conf'), 'three\n')).toBe('written');
    await writeFile(at('resolv.conf'), 'one\n');
    expect(await isEdited(at('resolv.conf'))).toBe(true);
  });

  it('is written over a file that we never wrote, and after removal', async () => {
    await writeFile(at('resolv.conf'), 'old\n');
    expect(await writeResolvConf(at('resolv.conf'), 'one\n')).toBe('written');
    await removeResolvConf(at('resolv.conf'));
    expect(await readdir(folder)).toEqual([]);
    expect(await writeResolvConf(at('resolv.conf'), 'two\n')).toBe('written');
  });
});

describe('resolv.conf of the host', () => {
  const paths = () => ({ main: at('main'), systemd: at('systemd') });

  it('is empty when it is missing', async () => {
    expect(await readHostResolvConf(paths())).toEqual({ path: at('main'), content: '' });
  });

  it('is the list of systemd-resolved where only its stub is named', async () => {
    await writeFile(at('main'), 'nameserver 127.0.0.53\noptions edns0\n');
    expect(await readHostResolvConf(paths())).toMatchObject({ path: at('main') });
    await writeFile(at('systemd'), 'nameserver 10.0.0.1\n');
    expect(await readHostResolvConf(paths())).toEqual({
      path: at('systemd'),
      content: 'nameserver 10.0.0.1\n',
    });
    await appendFile(at('main'), 'nameserver 10.0.0.2\n');
    expect(await readHostResolvConf(paths())).toMatchObject({ path: at('main') });
  });

  it('is seen to change by an edit, a replacement, a new link and a deletion', async () => {
    await writeFile(at('main'), 'nameserver 10.0.0.1\n');
    let changed: () => void = () => undefined;
    const end = watchHostResolvConf(() => changed(), { ...paths(), intervalMs: 20 });
    const steps = [
      () => appendFile(at('main'), 'nameserver 10.0.0.2\n'),
      async () => {
        await writeFile(at('other'), 'nameserver 10.0.0.3\nnameserver 10.0.0.4\nnameserver 10.0.0.5\n');
        await rename(at('other'), at('main'));
      },
      async () => {
        await writeFile(at('target'), 'nameserver 10.0.0.6\n');
        await rm(at('main'));
        await symlink(at('target'), at('main'));
      },
      () => writeFile(at('target'), ''),
      () => rm(at('main')),
    ];
    try {
      for (const step of steps) {
        const seen = new Promise<void>((resolve) => {
          changed = resolve;
        });
        // The watch compares times: two changes of one tick of the file system's clock would look like one.
        await new Promise((resolve) => setTimeout(resolve, 60));
        await step();
        await seen;
      }
    } finally {
      end();
    }
  });
});
