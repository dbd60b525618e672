/** The file of a unix socket: there when somebody listens, with its rights from the first moment, and ours to remove. */
import { chmod, mkdir, rename, rm, stat } from 'node:fs/promises';
import type { Server } from 'node:http';
import { connect } from 'node:net';
import { dirname } from 'node:path';
import { invalid, LibnetworkError } from '../errors.ts';

/** `sun_path` of unix(7) has 108 bytes, the last of which is NUL. */
const MAX_PATH_BYTES = 107;

/**
 * Makes a server listen at a path. What a dead process left there is taken away.
 * @throws INVALID_ARGUMENT for a path that is no socket's; CONFLICT when somebody listens there
 */
export async function listenAt(
  server: Server,
  path: string,
  mode: number,
): Promise<{ remove(): Promise<void> }> {
  // Under another name until it is complete: nobody can connect before the rights are set.
  const early = `${path}.${process.pid}`;
  if (!path.startsWith('/')) throw invalid('socket', path, 'must be an absolute path');
  if (Buffer.byteLength(early) > MAX_PATH_BYTES)
    throw invalid(
      'socket',
      path,
      `must be shorter: the path of a socket has at most ${MAX_PATH_BYTES} bytes`,
    );
  await mkdir(dirname(path), { recursive: true });
  if (await isAlive(path))
    throw new LibnetworkError('CONFLICT', `another process listens at ${path} already`, {
      field: 'socket',
      value: path,
    });
  await rm(early, { force: true });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(early, () => {
      server.off('error', reject);
      resolve();
    });
  });
  await chmod(early, mode);
  const { ino } = await stat(early);
  await rename(early, path);
  return {
    async remove() {
      const now = await stat(path).catch(() => undefined);
      // Somebody else may have put his own there meanwhile.
      if (now?.ino === ino) await rm(path, { force: true });
    },
  };
}

/** True where a connection is accepted. @throws INVALID_ARGUMENT for something that is no socket */
async function isAlive(path: string): Promise<boolean> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return false;
  if (!there.isSocket()) throw invalid('socket', path, 'is taken by a file that is no socket');
  return new Promise((resolve) => {
    const socket = connect(path);
    const end = (alive: boolean) => (): void => {
      socket.destroy();
      resolve(alive);
    };
    socket.on('connect', end(true));
    socket.on('error', end(false));
  });
}
