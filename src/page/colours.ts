/** Which colour each network has: one of a few, the same for as long as the network is there. */

/** How many there are: `--net-0` and so on in `style.css`. */
export const COLOURS = 8;

/**
 * Each network has the colour that its id leads to, or the next one that no older network has. With more networks
 * than colours the same ones are given out again: a colour is never the only mark of a network.
 * @param ids in the order in which the networks were made
 */
export function coloursOf(ids: readonly string[]): ReadonlyMap<string, number> {
  const given = new Map<string, number>();
  let taken = new Set<number>();
  for (const id of ids) {
    if (taken.size === COLOURS) taken = new Set();
    let slot = wish(id);
    while (taken.has(slot)) slot = (slot + 1) % COLOURS;
    taken.add(slot);
    given.set(id, slot);
  }
  return given;
}

function wish(id: string): number {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + (letter.codePointAt(0) ?? 0)) % 65_521;
  return sum % COLOURS;
}
