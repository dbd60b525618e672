/** Hosts side by side with what runs on them, and the VXLANs between. */
export interface HostPicture {
  readonly name: string;
  readonly address: string;
  readonly containers: readonly string[];
  readonly peers: number;
}

export function picture(hosts: readonly HostPicture[], networks: readonly string[]): string {
  const boxes = hosts.map(({ name, address, containers, peers }) =>
    box(`${name} ${address}`, [...containers, `${peers} peers elsewhere`]),
  );
  const height = Math.max(...boxes.map((lines) => lines.length));
  const rows = Array.from({ length: height }, (_, row) =>
    boxes.map((lines) => lines[row] ?? ' '.repeat(lines[0]?.length ?? 0)).join('  '),
  );
  const width = rows[0]?.length ?? 0;
  const legs = boxes.map((lines) => '│'.padStart(6).padEnd(lines[0]?.length ?? 0)).join('  ');
  return [...rows, legs, ...networks.map((line) => `══ ${line} `.padEnd(width, '═')), '── etcd: who is where']
    .map((line) => `    ${line}`)
    .join('\n');
}

function box(title: string, lines: readonly string[]): string[] {
  const inner = Math.max(title.length, ...lines.map((line) => line.length));
  return [
    `┌─${title.padEnd(inner, '─')}─┐`,
    ...lines.map((line) => `│ ${line.padEnd(inner)} │`),
    `└${'─'.repeat(inner + 2)}┘`,
  ];
}
