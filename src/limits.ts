/** How much an endpoint may transfer: the option, and who can keep to it. */
import * as v from 'valibot';
import type { Driver, EndpointLimits } from './driverapi/driver.ts';
import { LibnetworkError } from './errors.ts';
import { fields } from './fields.ts';

const bits = v.pipe(
  v.number('must be a number of bits'),
  v.safeInteger('must be a whole number of bits'),
  v.minValue(8, 'must be 8 bits or more'),
);

export const limits = fields({
  ingress: v.optional(bits),
  egress: v.optional(bits),
  burst: v.optional(bits),
});

/** @throws NOT_IMPLEMENTED for limits that a driver can't keep to */
export function checkLimits(driver: Driver, wanted: EndpointLimits | undefined): void {
  if (wanted === undefined || driver.limit !== undefined) return;
  throw new LibnetworkError(
    'NOT_IMPLEMENTED',
    `the driver ${driver.name} can't limit what an endpoint transfers: leave limits away`,
    { field: 'limits', value: wanted },
  );
}
