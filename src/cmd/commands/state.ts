/** The whole: ports, firewall, repairs, state, events, statistics, and the host. */
import type { Command } from 'commander';
import type { ApiEvent, Finding, PortView } from '../../client/client.ts';
import { LibnetworkError } from '../../errors.ts';
import { EXIT } from '../exitcodes.ts';
import { isColoured, paint, placeText, safe, shortId } from '../output.ts';
import { type GlobalOptions, withClient } from '../session.ts';
import { readInteger, readTime } from '../values.ts';
import { act, actSlowly, FORMAT, type Kit } from './kit.ts';

export function stateCommands(program: Command, kit: Kit): void {
  const { output } = kit;
  act<[], { format?: string }>(
    program
      .command('port')
      .description('list what is published on the host')
      .option(...FORMAT),
    async (client, { format }) =>
      output.list<PortView>(
        await client.ports(),
        [
          {
            title: 'HOST',
            of: ({ hostAddress, host }) => placeText(hostAddress, host),
          },
          { title: 'CONTAINER PORT', of: ({ container, protocol }) => `${container}/${protocol}` },
          { title: 'CONTAINER', of: ({ containerId }) => containerId ?? '' },
          { title: 'ENDPOINT', of: ({ endpoint }) => endpoint },
          { title: 'NETWORK', of: ({ network }) => network },
        ],
        format,
      ),
  );
  firewall(program, kit);
  actSlowly<[], { dryRun?: boolean; format?: string }>(
    kit,
    program
      .command('reconcile')
      .description('compare the kernel with the records, and repair it')
      .option('--dry-run', 'only report')
      .option(...FORMAT),
    'comparing',
    async (client, { dryRun, format }) => {
      const report = await client.reconcile({ dryRun: dryRun ?? false });
      if (format && format !== 'table') return output.thing(report, format);
      for (const what of report.missing) output.line(`missing   ${safe(what)}`);
      for (const what of report.orphaned) output.line(`left over ${safe(what)}`);
      const found = report.missing.length + report.orphaned.length;
      output.note(
        found === 0
          ? 'the kernel holds what the records say'
          : `${report.repaired.length} of ${found} put right`,
      );
    },
  );
  act<[], { format?: string }>(
    program
      .command('inspect')
      .description('the whole state, as it is recorded')
      .option(...FORMAT),
    async (client, { format }) => output.thing(await client.inspect(), format),
  );
  events(program, kit);
  act<[], { format?: string }>(
    program
      .command('stats')
      .description('counters of interfaces and name servers')
      .option(...FORMAT),
    async (client, { format }) => {
      const { sandboxes, ...rest } = await client.statistics();
      if (format && format !== 'table') return output.thing({ sandboxes, ...rest }, format);
      const rows = sandboxes.flatMap(({ containerId, interfaces, dns }) =>
        Object.entries(interfaces).map(([name, link]) => ({
          containerId,
          name,
          link,
          queries: dns?.queries ?? 0,
        })),
      );
      output.list(
        rows,
        [
          { title: 'CONTAINER', of: ({ containerId }) => containerId },
          { title: 'INTERFACE', of: ({ name }) => name },
          { title: 'RECEIVED', of: ({ link }) => `${link.rxBytes} B, ${link.rxPackets}` },
          { title: 'SENT', of: ({ link }) => `${link.txBytes} B, ${link.txPackets}` },
          { title: 'DROPPED', of: ({ link }) => String(link.rxDropped + link.txDropped) },
          { title: 'DNS QUERIES', of: ({ queries }) => String(queries) },
        ],
        format,
      );
    },
  );
  doctor(program, kit);
}

function firewall(program: Command, { output }: Kit): void {
  const parent = program.command('firewall').description('the rules');
  act<[], { without?: string; format?: string }>(
    parent
      .command('preview')
      .description('print the rules that hold, as text for nft -f (or iptables-restore --noflush)')
      .option('--without <name>', 'print what the end of this network or endpoint would change')
      .option(...FORMAT),
    async (client, { without, format }) => {
      const view = await client.firewall(without);
      if (format && format !== 'table') output.thing(view, format);
      else if (view.text !== '') output.line(view.text.trimEnd());
    },
  );
  act<[], { from?: string; to: string; protocol?: string; port?: string; ipv6?: boolean; format?: string }>(
    parent
      .command('explain')
      .description('which rules a packet meets, and where it ends')
      .option('--from <place>', 'a container, an endpoint, an address, or `host`; default: outside')
      .requiredOption('--to <place>', 'a container, an endpoint, an address, or `host`')
      .option('--protocol <name>', 'tcp, udp, sctp or icmp', 'tcp')
      .option('--port <number>', 'the destination port')
      .option('--ipv6', 'by IPv6')
      .option(...FORMAT),
    async (client, { from, to, protocol, port, ipv6, format }) => {
      const number = readInteger('port', port);
      const answer = await client.explain({
        to,
        ...(from === undefined ? {} : { from }),
        ...(protocol === undefined ? {} : { protocol: protocol as 'tcp' }),
        ...(number === undefined ? {} : { port: number }),
        ...(ipv6 ? { family: 'ipv6' as const } : {}),
      });
      if (format && format !== 'table') return output.thing(answer, format);
      output.line(answer.question);
      for (const step of answer.steps) {
        output.line(`  ${step.hook}, chain ${step.chain}: ${step.comment}`);
        output.line(`    ${step.rule}`);
        output.line(`    → ${step.outcome}`);
      }
      const colour = isColoured(process.stdout);
      const verdict =
        answer.verdict === 'accept' ? paint('passes', 'green', colour) : paint('is dropped', 'red', colour);
      output.line(
        `${verdict}${answer.verdict === 'accept' ? `, to ${answer.destination} from ${answer.source}` : ''}`,
      );
      for (const note of answer.notes) output.line(`note: ${note}`);
    },
  );
}

function events(program: Command, { output }: Kit): void {
  act<[], { since?: string; follow?: boolean; format?: string }>(
    program
      .command('events')
      .description('tell what happens, as it happens')
      .option('--since <time>', 'also what was: a time, or a span such as 10m')
      .option('--no-follow', 'only what was')
      .option(...FORMAT),
    async (client, { since, follow, format }) => {
      const stop = new AbortController();
      process.once('SIGINT', () => stop.abort());
      const from = since === undefined ? undefined : readTime(since, Date.now());
      try {
        for await (const event of client.events({
          since: from,
          follow: follow !== false,
          signal: stop.signal,
        }))
          tell(event, format);
      } catch (error) {
        if (!stop.signal.aborted) throw error;
      }
    },
  );
  const tell = (event: ApiEvent, format: string | undefined): void => {
    if (format === 'json') output.line(JSON.stringify(event));
    else if (format && format !== 'table') output.thing(event, format);
    else {
      output.line(safe(lineOf(event)));
    }
  };
}

/** Ids are cut, and left out where a name stands for them. */
function lineOf({ time, type, network, containerId, facts }: ApiEvent): string {
  const told = new Set<unknown>([network?.id, network?.name, containerId]);
  if (containerId !== undefined) told.add(facts.sandboxId);
  const rest = Object.entries(facts)
    .filter(([, value]) => !told.has(value))
    .map(
      ([name, value]) =>
        `${name}=${/^[0-9a-f]{64}$/.test(String(value)) ? shortId(String(value), false) : value}`,
    );
  return [new Date(time).toISOString(), type, network?.name, containerId, ...rest].filter(Boolean).join(' ');
}

const MARKS = { ok: 'green', warning: 'yellow', failure: 'red' } as const;

function doctor(program: Command, { output }: Kit): void {
  const command = program
    .command('doctor')
    .description('what is missing or odd on this host, and what to do; ends with 1 where something fails')
    .option(...FORMAT);
  command.action(async () => {
    const { format, ...options } = command.optsWithGlobals<GlobalOptions & { format?: string }>();
    const findings = await examine(options);
    if (findings.some(({ status }) => status === 'failure')) process.exitCode = EXIT.FAILED;
    if (format && format !== 'table') return output.thing(findings, format);
    const colour = isColoured(process.stdout);
    for (const { check, status, found, advice } of findings) {
      output.line(`${paint(status.padEnd(8), MARKS[status], colour)} ${check}: ${safe(found)}`);
      if (advice !== undefined) output.line(`${' '.repeat(9)}${advice}`);
    }
  });
}

/** Also where nobody answers, or a controller can't be opened: then it is asked why. */
async function examine(options: GlobalOptions): Promise<readonly Finding[]> {
  try {
    return await withClient(options, (client) => client.examine());
  } catch (error) {
    // Another host's troubles are not looked for on this one.
    if (!LibnetworkError.is(error) || (options.dataDir === undefined && options.host?.startsWith('tcp:')))
      throw error;
    const { examineHost } = await import('../../api/doctor.ts');
    return [...(await examineHost()), { check: 'daemon', status: 'failure', found: error.message }];
  }
}
