import { describe, expect, it } from 'vitest';
import { pairs, readPort } from '../../../src/cmd/values.ts';

describe('the text', () => {
  it.each([
    ['a=b', { a: 'b' }],
    ['a=o=u=8', { a: 'o=u=8' }],
    ['k=', { k: '' }],
    ['k', { k: '' }],
    ['', { '': '' }],
    ['a=1,b=2', { a: '1,b=2' }],
    ['a=1,b', { a: '1,b' }],
  ])('of a label %j is split at its first =', (text, labels) => {
    expect(pairs([text])).toEqual(labels);
  });

  it.each([
    ['80', { protocol: 'tcp', container: 80 }],
    ['8080:80/udp', { protocol: 'udp', container: 80, host: 8080 }],
    ['8080-8090:80/sctp', { protocol: 'sctp', container: 80, host: 8080, hostEnd: 8090 }],
    ['112.0.43.56:8001:80', { protocol: 'tcp', container: 80, host: 8001, hostAddress: '112.0.43.56' }],
    ['[2001:db8::1]::80/tcp', { protocol: 'tcp', container: 80, hostAddress: '2001:db8::1' }],
  ])('of a port %j is read', (text, port) => {
    expect(readPort(text)).toEqual(port);
  });

  it.each(['', 'http', '80/icmp', '80/', ':80:', '1:2:3:4', '80 ', '-80', '8080:'])(
    'of no port %j is refused',
    (text) => {
      expect(() => readPort(text)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT', value: text }),
      );
    },
  );
});
