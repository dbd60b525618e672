/** Between two containers, in characters. */
const GAP = 3;

export interface Scenery {
  readonly outside: string;
  readonly published: string;
  readonly gateways: readonly string[];
  readonly web: readonly string[];
  readonly client: readonly string[];
}

/** The topology, as it stands when everything is joined. */
export function picture({ outside, published, gateways, web, client }: Scenery): string {
  const left = box('web', web);
  const right = box('client', client);
  const [leftWidth, rightWidth] = [widthOf(left), widthOf(right)];
  const onHost = [`published: ${published}`, `bridge front: ${gateways.join(' ')}`];
  const width = Math.max(leftWidth + GAP + rightWidth, widthOf(box('host', onHost)));
  return [
    ...box('outside', [outside], width),
    legs([width / 2]),
    ...box('host', onHost, width),
    legs([leftWidth / 2, leftWidth + GAP + rightWidth / 2]),
    ...left.map((line, i) => `${line}${' '.repeat(GAP)}${right[i] ?? ''}`),
  ]
    .map((line) => `    ${line}`)
    .join('\n');
}

function box(title: string, lines: readonly string[], atLeast = 0): readonly string[] {
  const inner = Math.max(title.length + 2, atLeast - 4, ...lines.map((line) => line.length));
  return [
    `┌ ${title} ${'─'.repeat(inner - title.length)}┐`,
    ...lines.map((line) => `│ ${line.padEnd(inner)} │`),
    `└${'─'.repeat(inner + 2)}┘`,
  ];
}

function widthOf(lines: readonly string[]): number {
  return Math.max(0, ...lines.map((line) => line.length));
}

/** A line with one leg at each place. */
function legs(places: readonly number[]): string {
  return places.reduce((line, place) => `${line.padEnd(Math.floor(place))}│`, '');
}
