import { type Ground, timed } from './ground.ts';
import { type Row, row } from './row.ts';

const ROUNDS = 6;
const PER_ROUND = 10;

/** A sandbox of its own namespace, with `/etc/hosts`, `resolv.conf` and name server, and its end. */
export async function sandboxBench(ground: Ground): Promise<readonly Row[]> {
  await rounds(ground, 1);
  const { create, remove, floorCreate, floorDelete } = await rounds(ground, ROUNDS);
  return [
    row('sandbox create', 'us', { ours: create, floor: floorCreate }),
    row('sandbox delete', 'us', { ours: remove, floor: floorDelete }),
  ];
}

async function rounds({ controller, floors }: Ground, count: number) {
  const create: number[] = [];
  const remove: number[] = [];
  const floorCreate: number[] = [];
  const floorDelete: number[] = [];
  const floor = floors.start('sandbox');
  for (let round = 0; round < count; round++) {
    const answer = await floor.ask(PER_ROUND);
    floorCreate.push(...(answer.create ?? []));
    floorDelete.push(...(answer.delete ?? []));
    for (let i = 0; i < PER_ROUND; i++) {
      const [created, sandbox] = await timed(() =>
        controller.createSandbox({ containerId: `box-${round}-${i}` }),
      );
      create.push(created);
      remove.push((await timed(() => sandbox.delete()))[0]);
    }
  }
  await floor.close();
  return { create, remove, floorCreate, floorDelete };
}
