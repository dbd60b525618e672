import { invalid } from '../../errors.ts';

/** @throws INVALID_ARGUMENT for what is no whole number from `low` to `high` */
export function range(value: number, low: number, high: number, field: string): void {
  if (!Number.isInteger(value) || value < low || value > high)
    throw invalid(field, value, `must be a whole number from ${low} to ${high}`);
}
