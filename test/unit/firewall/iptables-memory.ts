/** iptables in memory: enough of `iptables-restore --noflush` and `iptables-save` for the lines that we write. */
import { LibnetworkError } from '../../../src/errors.ts';
import type { Family } from '../../../src/ip.ts';
import type { IptablesBackend } from '../../../src/osl/firewall/iptables/backend.ts';

const BUILT_IN: Readonly<Record<string, readonly string[]>> = {
  raw: ['PREROUTING', 'OUTPUT'],
  filter: ['INPUT', 'FORWARD', 'OUTPUT'],
  nat: ['PREROUTING', 'INPUT', 'OUTPUT', 'POSTROUTING'],
};

type Chains = Map<string, string[]>;

export class IptablesMemory implements IptablesBackend {
  readonly families = ['ipv4', 'ipv6'] as const;
  /** The texts that were restored, in order. */
  readonly restored: { readonly family: Family; readonly text: string }[] = [];
  /** Refuses a table of a family at its COMMIT. */
  refuse: (family: Family, table: string) => boolean = () => false;
  readonly #tables = new Map<string, Chains>();

  constructor() {
    for (const family of this.families)
      for (const [table, chains] of Object.entries(BUILT_IN))
        this.#tables.set(`${family} ${table}`, new Map(chains.map((chain) => [chain, []])));
  }

  /** The rules of a chain: `ipv4 filter FORWARD`; `undefined` when there is none. */
  chain(path: string): readonly string[] | undefined {
    const [family, table, chain = ''] = path.split(' ');
    return this.#tables.get(`${family} ${table}`)?.get(chain);
  }

  async save(family: Family): Promise<string> {
    return Object.keys(BUILT_IN)
      .map((table) => {
        const chains = [...(this.#tables.get(`${family} ${table}`) ?? [])];
        const declared = chains.map(
          ([name]) => `:${name} ${BUILT_IN[table]?.includes(name) ? 'ACCEPT' : '-'} [0:0]`,
        );
        const rules = chains.flatMap(([name, texts]) => texts.map((text) => `-A ${name} ${text}`));
        return [`*${table}`, ...declared, ...rules, 'COMMIT', '# Completed'].join('\n');
      })
      .join('\n');
  }

  async restore(family: Family, text: string): Promise<void> {
    this.restored.push({ family, text });
    let table = '';
    let chains: Chains = new Map();
    for (const line of text.split('\n')) {
      const [, only, command] = /^(?:-([46]) )?(.*)$/.exec(line) ?? [];
      if (command === undefined || command === '' || (only !== undefined && only !== family.slice(-1)))
        continue;
      if (command.startsWith('*')) {
        table = command.slice(1);
        chains = new Map(
          [...(this.#tables.get(`${family} ${table}`) ?? [])].map(([name, each]) => [name, [...each]]),
        );
      } else if (command === 'COMMIT') {
        if (this.refuse(family, table)) throw new LibnetworkError('INTERNAL', `refused: ${family} ${table}`);
        this.#tables.set(`${family} ${table}`, chains);
      } else perform(chains, command);
    }
  }

  async close(): Promise<void> {
    this.refuse = () => true;
  }
}

function perform(chains: Chains, command: string): void {
  const [, verb = '', name = '', place, text = ''] = /^-(\w) (\S+) ?(?:(\d+) )?(.*)$/.exec(command) ?? [];
  const rules = chains.get(name);
  const refuse = (why: string): never => {
    throw new LibnetworkError('INTERNAL', `${command}: ${why}`);
  };
  if (verb === 'N') {
    if (rules !== undefined) refuse('chain already exists');
    chains.set(name, []);
  } else if (rules === undefined) refuse('no such chain');
  else if (verb === 'A') rules.push(text);
  else if (verb === 'I') rules.splice(Number(place ?? 1) - 1, 0, text);
  else if (verb === 'D' && rules.includes(text)) rules.splice(rules.indexOf(text), 1);
  else if (verb === 'X' && rules.length === 0 && !isTarget(chains, name)) chains.delete(name);
  else refuse('cannot be done');
  if ((verb === 'A' || verb === 'I') && !targetIsThere(chains, text)) refuse('no such target');
}

const targetOf = (text: string): string => /-[jg] (\S+)/.exec(text)?.[1] ?? '';
const isTarget = (chains: Chains, name: string): boolean =>
  [...chains.values()].some((texts) => texts.some((text) => targetOf(text) === name));
const targetIsThere = (chains: Chains, text: string): boolean =>
  !targetOf(text).startsWith('DOCKER') || chains.has(targetOf(text));
