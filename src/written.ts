import { LibnetworkError } from './errors.ts';

/** Whether the condition of a conditional write held; if not, somebody else was first. */
export async function isWritten(write: Promise<unknown>): Promise<boolean> {
  try {
    await write;
    return true;
  } catch (error) {
    if (LibnetworkError.is(error, 'CONFLICT')) return false;
    throw error;
  }
}
