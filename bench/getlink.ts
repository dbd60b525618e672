import { type Ground, timed } from './ground.ts';
import { type Row, row } from './row.ts';

const COUNT = 400;
const PIPELINED = 50;

/** A request that the kernel answers at once, one at a time and many together: the cost of the transport alone. */
export async function getlinkBench({ osl, floors }: Ground): Promise<readonly Row[]> {
  const floor = floors.start('getlink');
  const { single: floorSingle, pipelined: floorPipelined, changes: floorChanges } = await floor.ask(COUNT);
  await floor.close();
  const ask = () => osl.host.link('lo');
  const many = () => Promise.all(Array.from({ length: PIPELINED }, ask));
  for (let i = 0; i < COUNT; i++) await ask();
  // Nothing changes by it, so that it is the cost of the way there and back.
  const changes = Array.from({ length: PIPELINED }, () => ({ op: 'setLink', name: 'lo', up: true }) as const);
  const change = () => osl.host.apply(changes);
  for (let i = 0; i < COUNT / 10; i++) await change();
  const single: number[] = [];
  const pipelined: number[] = [];
  const changed: number[] = [];
  for (let i = 0; i < COUNT; i++) single.push((await timed(ask))[0]);
  for (let i = 0; i < COUNT / 10; i++) pipelined.push((await timed(many))[0] / PIPELINED);
  for (let i = 0; i < COUNT / 10; i++) changed.push((await timed(change))[0] / PIPELINED);
  return [
    row('getlink', 'us', { ours: single, floor: floorSingle }),
    row(`getlink, ${PIPELINED} together`, 'us', { ours: pipelined, floor: floorPipelined }),
    row(`setlink, ${PIPELINED} in one send`, 'us', { ours: changed, floor: floorChanges }),
  ];
}
