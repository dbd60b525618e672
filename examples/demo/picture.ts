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
  const width = (left[0]?.length ?? 0) + 3 + (right[0]?.length ?? 0);
  const sides = left.map((line, i) => `${line}   ${right[i] ?? ''}`);
  const stem = (text: string) => text.padStart(Math.floor(width / 2) + 1);
  return [
    ...box('outside', [outside], width),
    stem('│'),
    ...box('host', [`published: ${published}`, `bridge front: ${gateways.join(' ')}`], width),
    joint(left[0]?.length ?? 0, right[0]?.length ?? 0),
    ...sides,
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

/** One leg of the bridge over the middle of each container. */
function joint(left: number, right: number): string {
  const legs = [Math.floor(left / 2), left + 3 + Math.floor(right / 2)];
  return Array.from({ length: left + 3 + right }, (_, i) => (legs.includes(i) ? '│' : ' ')).join('');
}
