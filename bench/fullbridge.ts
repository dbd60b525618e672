/**
 * The first and the last of as many endpoints as one bridge should have, and the same by the floor. The kernel looks at
 * each port of a bridge for every new one (`br_port_state_selection`, `br_manage_promisc`), and at each namespace that
 * it knows for the link's other end (`peernet2id`), so that its own part grows with them, whoever asks.
 */
import { attachInTurn, type Ground } from './ground.ts';
import { median, type Row, row } from './row.ts';

const ENDPOINTS = 1_000;
const ENDS = 20;

export async function fullBridgeBench(ground: Ground): Promise<readonly Row[]> {
  const program = ground.floors.start('attach');
  const floor = ends((await program.ask(ENDPOINTS)).attach ?? []);
  await program.close();
  const ours = ends(await attachInTurn(ground, ENDPOINTS));
  return [
    row('attach, the first on a bridge', 'us', { ours: ours.first, floor: floor.first }),
    row(`attach, the ${ENDPOINTS}th on a bridge`, 'us', { ours: ours.last, floor: floor.last }),
    row(`what the ${ENDPOINTS}th takes more`, 'us', { ours: more(ours), floor: more(floor) }),
    row(`the ${ENDPOINTS}th beside the first`, 'x', { ours: growth(ours), floor: growth(floor) }),
  ];
}

interface Ends {
  readonly first: readonly number[];
  readonly last: readonly number[];
}

const ends = (times: readonly number[]): Ends => ({
  first: times.slice(0, ENDS),
  last: times.slice(-ENDS),
});

/** None without a C compiler. */
function compared({ first, last }: Ends, by: (last: number, first: number) => number): readonly number[] {
  const [a, b] = [median(last), median(first)];
  return a === null || b === null ? [] : [by(a, b)];
}

const more = (both: Ends) => compared(both, (last, first) => last - first);
const growth = (both: Ends) => compared(both, (last, first) => last / first);
