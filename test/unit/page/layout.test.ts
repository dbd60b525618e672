import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { type Box, bottom, overlap, right } from '../../../src/page/geometry.ts';
import { type Layout, layoutOf } from '../../../src/page/layout.ts';
import { sceneOf } from '../../../src/page/scene.ts';
import type { Topology } from '../../../src/page/topology.ts';
import { anyTopology, container, endpoint, network, topology } from './topologies.ts';

const options = { width: 1000, level: 'auto', folded: new Set<string>() } as const;
const draw = (what: Topology, more: Partial<Parameters<typeof layoutOf>[1]> = {}): Layout =>
  layoutOf(sceneOf(what), { ...options, ...more });

/** What can be chosen. */
function boxes({ cards, doors, tiles, unused }: Layout): readonly { key: string; box: Box }[] {
  return [...cards, ...doors, ...tiles, ...unused];
}

const anyOptions = fc.record({
  width: fc.integer({ min: 0, max: 2500 }),
  level: fc.constantFrom('auto', 'large', 'compact', 'dots'),
});

describe('the layout of any topology', () => {
  it('lays nothing over anything else', () => {
    fc.assert(
      fc.property(anyTopology, anyOptions, (what, more) => {
        const all = boxes(draw(what, more));
        for (const [index, a] of all.entries())
          for (const b of all.slice(index + 1))
            if (overlap(a.box, b.box)) throw new Error(`${a.key} lies over ${b.key}`);
      }),
    );
  });

  it('keeps everything inside the drawing, and containers inside their host', () => {
    fc.assert(
      fc.property(anyTopology, anyOptions, (what, more) => {
        const layout = draw(what, more);
        for (const { box } of [...boxes(layout), ...layout.frames]) {
          expect(box.x).toBeGreaterThanOrEqual(0);
          expect(right(box)).toBeLessThanOrEqual(layout.width);
          expect(bottom(box)).toBeLessThanOrEqual(layout.height);
        }
        for (const { box, of } of layout.tiles) {
          const on = of.endpoints[0]?.host;
          const frame = layout.frames.find(({ key }) => key === (on === undefined ? 'host' : `host:${on}`));
          expect(frame && contains(frame.box, box)).toBe(true);
        }
        for (const { points } of layout.wires)
          for (const [x, y] of points) {
            expect(x >= 0 && x <= layout.width).toBe(true);
            expect(y >= 0 && y <= layout.height).toBe(true);
          }
      }),
    );
  });

  it('draws every container and endpoint once', () => {
    fc.assert(
      fc.property(anyTopology, (what) => {
        const keys = draw(what).tiles.map(({ key }) => key);
        const inside = new Set(what.sandboxes.flatMap(({ endpoints }) => endpoints));
        const alone = what.endpoints.filter(({ id }) => !inside.has(id)).map(({ id }) => `endpoint:${id}`);
        expect([...keys].sort()).toEqual(
          [...what.sandboxes.map(({ id }) => `sandbox:${id}`), ...alone].sort(),
        );
      }),
    );
  });

  it('draws lines straight down or across, and hangs each container on each of its networks', () => {
    fc.assert(
      fc.property(anyTopology, (what) => {
        const { wires, tiles } = draw(what);
        for (const { points } of wires)
          for (const [index, [x, y]] of points.slice(1).entries()) {
            const [a, b] = points[index] ?? [x, y];
            expect(a === x || b === y).toBe(true);
          }
        for (const { key, of } of tiles) {
          const stubs = wires.filter(({ kind, leadsTo }) => kind === 'stub' && leadsTo?.includes(key));
          expect(stubs.map((stub) => stub.network).sort()).toEqual(
            of.endpoints.map(({ networkId }) => networkId).sort(),
          );
        }
      }),
    );
  });

  it('connects each line of a network with its card', () => {
    fc.assert(
      fc.property(anyTopology, anyOptions, (what, more) => {
        const layout = draw(what, more);
        for (const { of, box } of layout.cards) {
          const lines = layout.wires
            .filter(({ network: id, kind }) => id === of.network.id && (kind === 'line' || kind === 'stub'))
            .map(({ points }) => points);
          const reached = reach(lines, box);
          expect(reached).toBe(lines.length);
        }
      }),
    );
  });

  it('is the same each time', () => {
    fc.assert(
      fc.property(anyTopology, (what) => {
        expect(draw(structuredClone(what))).toEqual(draw(what));
      }),
    );
  });

  it('leaves what is above as it was when the last network gets one more container', () => {
    fc.assert(
      fc.property(anyTopology, (what) => {
        const used = what.networks.filter(({ id }) =>
          what.endpoints.some(({ networkId }) => networkId === id),
        );
        const last = used.at(-1);
        if (!last) return;
        const { sandbox, endpoints } = container('zz-new', [last]);
        const more = {
          ...what,
          sandboxes: [...what.sandboxes, sandbox],
          endpoints: [...what.endpoints, ...endpoints],
        };
        const before = draw(what, { level: 'compact' });
        const after = new Map(boxes(draw(more, { level: 'compact' })).map(({ key, box }) => [key, box]));
        const end = before.cards.at(-1)?.box.y ?? 0;
        for (const { key, box } of boxes(before)) if (box.y < end) expect(after.get(key)).toEqual(box);
      }),
    );
  });
});

describe('the layout', () => {
  const front = network('front');
  const back = network('back', { internal: true });
  const port = { protocol: 'tcp', container: 80, host: 8080, hostAddress: '0.0.0.0' } as const;

  it('opens a door for the way out and for a published port, and none for an internal network', () => {
    const what = topology([front, back], [container('web', [front], [port]), container('db', [back])]);
    expect(draw(what).doors.map(({ key }) => key)).toEqual(['way:n-front', 'door:e-web-n-front:8080:80']);
  });

  it('does not lead a port of the loopback outside', () => {
    const local = topology([front], [container('web', [front], [{ ...port, hostAddress: '127.0.0.1' }])]);
    const starts = (what: Topology) =>
      Math.min(
        ...draw(what)
          .wires.filter(({ kind }) => kind === 'port')
          .map(({ points }) => points[0]?.[0] ?? 0),
      );
    const wall = draw(local).frames[0]?.box.x ?? 0;
    expect(starts(local)).toBeGreaterThan(wall);
    expect(starts(topology([front], [container('web', [front], [port])]))).toBeLessThan(wall);
  });

  it('leads from the lane of a container to its other networks', () => {
    const { wires } = draw(
      topology([front, back], [container('api', [front, back]), container('db', [back])]),
    );
    const api = wires.filter(({ leadsTo }) => leadsTo?.includes('sandbox:s-api'));
    expect(api.map((wire) => wire.network).sort()).toEqual(['n-back', 'n-front']);
  });

  it('counts the ports that have no room', () => {
    const many = Array.from({ length: 30 }, (_, index) => ({ ...port, host: 8000 + index }));
    const { doors } = draw(topology([front], [container('web', [front], many)]));
    const more = doors.map(({ of }) => (of.kind === 'more' ? of.count : 0)).reduce((a, b) => a + b);
    expect(doors.filter(({ of }) => of.kind === 'port').length + more).toBe(30);
  });

  it('shows no containers of a folded network, and keeps its line to those elsewhere', () => {
    const what = topology([front, back], [container('api', [front, back]), container('db', [back])]);
    const { tiles, wires } = draw(what, { folded: new Set(['n-back']) });
    expect(tiles.map(({ key }) => key)).toEqual(['sandbox:s-api']);
    expect(wires.some((wire) => wire.network === 'n-back' && wire.leadsTo?.includes('sandbox:s-api'))).toBe(
      true,
    );
  });

  it('draws smaller what is more, and as large as asked', () => {
    const crowd = (count: number) =>
      topology(
        [front],
        Array.from({ length: count }, (_, index) => container(`c-${index}`, [front])),
      );
    expect([3, 100, 500].map((count) => draw(crowd(count)).level)).toEqual(['large', 'compact', 'dots']);
    expect(draw(crowd(500), { level: 'large' }).level).toBe('large');
  });

  it('shows endpoints of other hosts in a frame of theirs, on a line of the network', () => {
    const shared = network('shared', { driver: 'overlay', scope: 'global', ways: { ipv4: 'tunnel' } });
    const there = endpoint('far', shared.id, { host: 'host-b' });
    const { frames, wires } = draw(topology([shared], [container('near', [shared])], [there]));
    expect(frames.map(({ key }) => key)).toEqual(['host', 'host:host-b']);
    expect(wires.some(({ leadsTo }) => leadsTo?.includes(`endpoint:${there.id}`))).toBe(true);
  });
});

function contains(outer: Box, inner: Box): boolean {
  return (
    inner.x >= outer.x && inner.y >= outer.y && right(inner) <= right(outer) && bottom(inner) <= bottom(outer)
  );
}

type Points = readonly (readonly [number, number])[];

/** How many lines hang together with a card. */
function reach(lines: readonly Points[], card: Box): number {
  const touchesCard = (line: Points) =>
    line.some(([x, y]) => x === right(card) && y >= card.y && y <= bottom(card));
  const found = new Set(lines.filter(touchesCard));
  for (let grown = true; grown; ) {
    grown = false;
    for (const line of lines)
      if (!found.has(line) && [...found].some((other) => touches(line, other))) {
        found.add(line);
        grown = true;
      }
  }
  return found.size;
}

function touches(a: Points, b: Points): boolean {
  return a.some((point) => isOn(point, b)) || b.some((point) => isOn(point, a));
}

function isOn([x, y]: Points[number], line: Points): boolean {
  return line.slice(1).some(([bx, by], index) => {
    const [ax, ay] = line[index] ?? [bx, by];
    return x >= Math.min(ax, bx) && x <= Math.max(ax, bx) && y >= Math.min(ay, by) && y <= Math.max(ay, by);
  });
}
