import { describe, expect, it } from 'vitest';
import { addressOption, choiceOption, flagOption, integerOption, textOption } from '../../../src/labels.ts';

const refused = (field: string) => expect.objectContaining({ code: 'INVALID_ARGUMENT', field });

describe('option values', () => {
  it.each(['1', 't', 'T', 'TRUE', 'true', 'True', true, 1])('reads %j as yes', (value) => {
    expect(flagOption({ key: value }, 'key')).toBe(true);
  });

  it.each(['0', 'f', 'F', 'FALSE', 'false', 'False', false, 0])('reads %j as no', (value) => {
    expect(flagOption({ key: value }, 'key')).toBe(false);
  });

  it.each(['', 'yes', 'on', 'tRUE', '2', 2])('refuses %j as a flag', (value) => {
    expect(() => flagOption({ key: value }, 'key')).toThrow(refused('key'));
  });

  it('leaves open what is not given', () => {
    expect(flagOption({}, 'key')).toBeUndefined();
    expect(integerOption({}, 'key', { min: 0, max: 9 })).toBeUndefined();
    expect(textOption({ key: '' }, 'key')).toBeUndefined();
    expect(choiceOption({ key: '' }, 'key', ['a'])).toBeUndefined();
    expect(addressOption({}, 'key', 'ipv4')).toBeUndefined();
  });

  it.each([
    ['9000', 9000],
    [1500, 1500],
    ['68', 68],
  ])('reads %j as a number', (value, number) => {
    expect(integerOption({ mtu: value }, 'mtu', { min: 68, max: 65535 })).toBe(number);
  });

  it.each(['67', '65536', '-1', '1e3', '0x600', '', '1500.5', 1500.5, Number.NaN, true])(
    'refuses %j as an MTU',
    (value) => {
      expect(() => integerOption({ mtu: value }, 'mtu', { min: 68, max: 65535 })).toThrow(refused('mtu'));
    },
  );

  it('names the choices', () => {
    expect(choiceOption({ mode: 'nat' }, 'mode', ['nat', 'routed'])).toBe('nat');
    expect(() => choiceOption({ mode: 'X' }, 'mode', ['nat', 'routed'])).toThrow('nat, routed');
  });

  it('reads an address in its canonical form, of the right family only', () => {
    expect(addressOption({ a: '2001:DB8:0::1' }, 'a', 'ipv6')).toBe('2001:db8::1');
    expect(() => addressOption({ a: '::1' }, 'a', 'ipv4')).toThrow(refused('a'));
    expect(() => addressOption({ a: '10.0.0.0/8' }, 'a', 'ipv4')).toThrow(refused('a'));
  });
});
