import { describe, expect, it } from 'vitest';
import { STATUS } from '../../../src/api/status.ts';
import { invalid, LibnetworkError } from '../../../src/errors.ts';

describe('the codes of errors', () => {
  // Upstream's kinds, and what its daemon answers with.
  it('have one status each in HTTP, which is upstream’s', () => {
    expect(STATUS).toEqual({
      INVALID_ARGUMENT: 400,
      FORBIDDEN: 403,
      NOT_FOUND: 404,
      ALREADY_EXISTS: 409,
      CONFLICT: 409,
      ABORTED: 499,
      INTERNAL: 500,
      NOT_IMPLEMENTED: 501,
      UNAVAILABLE: 503,
      TIMEOUT: 504,
    });
  });

  it('tell errors apart, also those of a second copy of this package', () => {
    const error = new LibnetworkError('NOT_FOUND', 'network a not found', { field: 'network', value: 'a' });
    const copy = Object.assign(new Error('x'), { name: 'LibnetworkError', code: 'NOT_FOUND' });
    for (const each of [error, copy]) {
      expect(LibnetworkError.is(each)).toBe(true);
      expect(LibnetworkError.is(each, 'NOT_FOUND')).toBe(true);
      expect(LibnetworkError.is(each, 'FORBIDDEN')).toBe(false);
    }
    for (const other of [
      new Error('NOT_FOUND'),
      { code: 'NOT_FOUND', name: 'LibnetworkError' },
      null,
      'NOT_FOUND',
    ])
      expect(LibnetworkError.is(other)).toBe(false);
    expect(error).toMatchObject({ message: 'network a not found', field: 'network', value: 'a' });
    expect(invalid('name', '', 'must not be empty')).toMatchObject({
      code: 'INVALID_ARGUMENT',
      field: 'name',
      value: '',
    });
  });
});
