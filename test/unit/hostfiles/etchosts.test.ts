import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  addEntries,
  buildHosts,
  parseHosts,
  removeEntries,
  updateAddress,
} from '../../../src/hostfiles/etchosts.ts';

const base = [
  '127.0.0.1\tlocalhost',
  '::1\tlocalhost ip6-localhost ip6-loopback',
  'fe00::\tip6-localnet',
  'ff00::\tip6-mcastprefix',
  'ff02::1\tip6-allnodes',
  'ff02::2\tip6-allrouters',
  '',
].join('\n');

const entry = fc.record({
  address: fc.constantFrom('10.9.0.1', '10.9.0.2', 'fd00::1', 'fd00::2'),
  names: fc.array(fc.stringMatching(/^[a-z][a-z0-9.-]{0,8}$/), { minLength: 1, maxLength: 3 }),
});

describe('building', () => {
  it('starts with the loopback names', () => {
    expect(buildHosts({})).toBe(base);
  });

  it.each([
    ['web', undefined, 'web'],
    ['web', 'lab.example', 'web.lab.example web'],
    ['web.lab.example', undefined, 'web.lab.example web'],
  ])('writes the host name %s in %s as %s', (hostname, domainname, names) => {
    const addresses = ['10.9.0.5', 'fd00::5'];
    expect(buildHosts({ hostname, domainname, addresses })).toBe(
      `${base}10.9.0.5\t${names}\nfd00::5\t${names}\n`,
    );
  });

  it('writes no own line without a host name or an address', () => {
    expect(buildHosts({ hostname: 'web' })).toBe(base);
    expect(buildHosts({ addresses: ['10.9.0.5'] })).toBe(base);
  });

  it('puts extra hosts before the own addresses', () => {
    const extraHosts = [{ address: '10.1.1.1', names: ['db', 'database'] }];
    const content = buildHosts({ hostname: 'web', addresses: ['10.9.0.5'], extraHosts });
    expect(content).toBe(`${base}10.1.1.1\tdb database\n10.9.0.5\tweb\n`);
  });

  it('leaves every IPv6 line out where IPv6 is off', () => {
    const extraHosts = [
      { address: 'fd00::1', names: ['six'] },
      { address: '10.1.1.1', names: ['four'] },
    ];
    const content = buildHosts({
      hostname: 'web',
      addresses: ['10.9.0.5', 'fd00::5'],
      extraHosts,
      ipv6: false,
    });
    expect(content).toBe('127.0.0.1\tlocalhost\n10.1.1.1\tfour\n10.9.0.5\tweb\n');
  });

  it.each(['a b', 'a\nb', 'a\tb', 'a\0b', 'a#b', '', 'x'.repeat(254)])('refuses the host name %j', (name) => {
    const extraHosts = [{ address: '10.1.1.1', names: [name] }];
    expect(() => buildHosts({ extraHosts })).toThrow(expect.objectContaining({ code: 'INVALID_ARGUMENT' }));
  });

  it.each(['10.1.1', '10.1.1.1\n6.6.6.6 evil', ''])('refuses the address %j', (address) => {
    expect(() => buildHosts({ extraHosts: [{ address, names: ['a'] }] })).toThrow(
      expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
    );
  });
});

describe('adding and removing', () => {
  it('are each other undone', () => {
    const contents = fc.array(entry).map((list) => addEntries(base, list));
    fc.assert(
      fc.property(contents, fc.array(entry), (content, entries) => {
        const kept = removeEntries(content, entries);
        expect(removeEntries(addEntries(kept, entries), entries)).toBe(kept);
      }),
    );
  });

  it('keep comments, blank lines and other names that start the same', () => {
    const content = '# note\n\n10.9.0.1\tprefix\n10.9.0.2\tprefixAndMore\n#10.9.0.1\tprefix\n';
    const removed = removeEntries(content, [{ address: '10.9.0.1' }]);
    expect(removed).toBe('# note\n\n10.9.0.2\tprefixAndMore\n#10.9.0.1\tprefix\n');
  });

  it('keep a line of the same address with other names when names are given', () => {
    const content = '10.9.0.1\ta b\n10.9.0.1\tc\n';
    expect(removeEntries(content, [{ address: '10.9.0.1', names: ['c'] }])).toBe('10.9.0.1\ta b\n');
  });

  it('do nothing for empty lists', () => {
    for (const content of ['', '\n', base]) {
      expect(addEntries(content, [])).toBe(content);
      expect(removeEntries(content, [])).toBe(content);
    }
  });

  it('remove two of three lines, and nothing from a file of nothing', () => {
    const [one, two, three] = ['1.1.1.1', '2.2.2.2', '3.3.3.3'].map((address, i) => ({
      address,
      names: [`testhostname${i + 1}`],
    }));
    if (!one || !two || !three) throw new Error('there are three');
    const content = addEntries(base, [one, two, three]);
    expect(removeEntries(content, [one, three])).toBe(`${base}2.2.2.2\ttesthostname2\n`);
    for (const nothing of ['', '\n', '\n\n', '# nothing\n'])
      expect(removeEntries(nothing, [one, two])).toBe(nothing);
  });

  it('end an unfinished last line first', () => {
    expect(addEntries('10.9.0.1 a', [{ address: '10.9.0.2', names: ['b'] }])).toBe(
      '10.9.0.1 a\n10.9.0.2\tb\n',
    );
  });

  it('are read back', () => {
    fc.assert(
      fc.property(fc.array(entry), (entries) => {
        expect(parseHosts(addEntries('# only these\n', entries))).toEqual(entries);
      }),
    );
  });
});

describe('updating', () => {
  it('changes the address of lines that start with the name', () => {
    const content =
      '10.11.12.13\ttesthostname.domain testhostname\n3.3.3.3\ttesthostnameAndMore\n4.4.4.4\tother\n';
    expect(updateAddress(content, '1.1.1.1', 'testhostname')).toBe(
      '1.1.1.1\ttesthostname.domain testhostname\n3.3.3.3\ttesthostnameAndMore\n4.4.4.4\tother\n',
    );
  });
});
