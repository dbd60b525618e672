/** What a connection filter means, for every implementation. Pure. */
import { invalid } from '../../errors.ts';
import { type Address, equal, parseAddress } from '../../ip.ts';
import type { ConnectionFilter } from '../osl.ts';
import { PROTOCOL_NUMBERS } from './model.ts';

/** What filters ask of a connection. */
export interface ConnectionFacts {
  /** An IP protocol number. */
  readonly protocol: number;
  /** The port that it was begun to. */
  readonly port: number | undefined;
  /** Both ends, before and after translation. */
  readonly addresses: readonly (Address | undefined)[];
}

/** True for connections that fit one of the filters. @throws INVALID_ARGUMENT for an address that is none */
export function fitsOneOf(filters: readonly ConnectionFilter[]): (facts: ConnectionFacts) => boolean {
  const tests = filters.map(testOf);
  return (facts) => tests.some((test) => test(facts));
}

function testOf({ address: text, protocol, port }: ConnectionFilter): (facts: ConnectionFacts) => boolean {
  const address = text === undefined ? undefined : parseAddress(text);
  if (text !== undefined && address === undefined) throw invalid('address', text, 'must be an IP address');
  const number = protocol === undefined ? undefined : PROTOCOL_NUMBERS[protocol];
  return (facts) =>
    (number === undefined || facts.protocol === number) &&
    (port === undefined || facts.port === port) &&
    (address === undefined || facts.addresses.some((each) => each !== undefined && equal(each, address)));
}
