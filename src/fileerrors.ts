import { kernelError } from './osl/errno.ts';

/** A handler for a failed file operation: the kernel's error as ours, naming the path. */
export function kernelFileError(operation: string, path: string): (error: unknown) => never {
  return (error) => {
    const errno = error instanceof Error && 'code' in error ? String(error.code) : 'EIO';
    const advice = errno === 'EROFS' ? 'the file system is read-only: choose another directory' : undefined;
    throw kernelError(`${operation} ${path}`, errno, advice, { field: 'path', value: path });
  };
}
