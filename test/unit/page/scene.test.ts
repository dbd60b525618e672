import { describe, expect, it } from 'vitest';
import { subjectOf } from '../../../src/page/lookup.ts';
import { sceneOf } from '../../../src/page/scene.ts';
import { container, endpoint, network, topology } from './topologies.ts';

const front = network('front');
const back = network('back', { internal: true, pools: [{ subnet: '10.8.0.0/24' }] });
const port = { protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' } as const;
const what = topology(
  [network('bridge', { pools: [{ subnet: '172.17.0.0/16' }] }), front, back],
  [
    container('web-10', [front], [port, { ...port, hostAddress: '::' }]),
    container('web-2', [front]),
    container('api', [back, front]),
    container('lonely', []),
  ],
  [endpoint('next', back.id)],
);
const tilesIn = (search: string) =>
  sceneOf(what, search).lanes.map(({ network: { name }, tiles }) => [
    name,
    ...tiles.map(({ title }) => title),
  ]);

describe('the scene', () => {
  it('has each container at home in the first of its networks with a way out, by name', () => {
    expect(tilesIn('')).toEqual([
      ['front', 'api', 'web-2', 'web-10'],
      ['back', 'next'],
    ]);
  });

  it('counts the endpoints of a network wherever their containers are drawn', () => {
    expect(sceneOf(what).lanes.map(({ total }) => total)).toEqual([3, 2]);
  });

  it('keeps networks without endpoints, and containers without a network, apart', () => {
    const { unused, loose } = sceneOf(what);
    expect(unused.map(({ name }) => name)).toEqual(['bridge']);
    expect(loose.map(({ title }) => title)).toEqual(['lonely']);
  });

  it('has one door for a port that is published for both families', () => {
    expect(sceneOf(what).lanes[0]?.doors).toHaveLength(1);
  });

  it.each([
    ['web', [['front', 'web-2', 'web-10']]],
    ['8080', [['front', 'web-10']]],
    ['api', [['front', 'api'], ['back']]],
    ['front web 8080', [['front', 'web-10']]],
    ['10.8.0.0/24', [['back']]],
    ['nowhere', []],
  ])('is searched by names, addresses, ports and networks: %s', (search, found) => {
    expect(tilesIn(search)).toEqual(found);
  });

  it('calls a container with a number for an id as its endpoint is called', () => {
    const { sandbox, endpoints } = container('db', [back]);
    const docker = topology([back], [{ sandbox: { ...sandbox, containerId: 'a'.repeat(64) }, endpoints }]);
    expect(sceneOf(docker).lanes[0]?.tiles[0]?.title).toBe('db');
  });
});

describe('what a key stands for', () => {
  it.each([
    'host',
    'network:n-front',
    'way:n-front',
    'sandbox:s-api',
    'endpoint:e-next-n-back',
    'door:e-web-10-n-front:8080:80',
  ])('%s', (key) => {
    expect(subjectOf(what, key)).toBeDefined();
  });

  it.each(['network:gone', 'sandbox:gone', 'door:gone:1:2', 'door:e-web-10-n-front:1:2', 'nonsense'])(
    'nothing: %s',
    (key) => {
      expect(subjectOf(what, key)).toBeUndefined();
    },
  );
});
