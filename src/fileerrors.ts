import { kernelError } from './osl/errno.ts';

/** A handler for a failed file operation: the kernel's error as ours, naming the path and the option that gave it. */
export function kernelFileError(operation: string, path: string, field = 'path'): (error: unknown) => never {
  return (error) => {
    const told = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    // Making the directories of a path, Node says so where one of them is a file.
    const errno = told === 'EEXIST' ? 'ENOTDIR' : told;
    const advice = errno === 'EROFS' ? 'the file system is read-only: choose another directory' : undefined;
    throw kernelError(`${operation} ${path}`, errno, advice, { field, value: path });
  };
}
