/**
 * Untrusted code that may reach two names and nothing else: `npm run example:sandbox-egress`, as root; `--json` prints
 * one JSON document, `--iptables` takes the other firewall engine. The exit code is 0 only if all held.
 */
import { parseArgs } from 'node:util';
import { kernelAvailability, type Network, type NetworkOptions, type PolicyRule } from 'libnetwork';
import { ALLOWED, BRIDGE, GUEST } from './addresses.ts';
import { attempts, LONG_MS, SHORT_MS, timed } from './attempts.ts';
import { runUntrusted } from './cell.ts';
import { Lab } from './lab.ts';
import { LOOKS, lookAround } from './looks.ts';
import { type Run, rowsOf, strays, table } from './report.ts';

const names = ALLOWED.map(({ name }) => name);

/** The first rule that fits decides. All of the egress policy is here. */
const policy: readonly PolicyRule[] = [
  // Whoever answers for an allowed name chooses its addresses: they must not lead back in.
  {
    to: ['host', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '169.254.0.0/16'],
    action: 'deny',
  },
  { to: ['fc00::/7', 'fe80::/10'], action: 'deny' },
  { to: { names }, ports: [{ protocol: 'tcp', port: 443 }], action: 'allow' },
  { action: 'deny' },
];

const confined: NetworkOptions = {
  name: 'confined',
  ipv6: true,
  ipam: { pools: [{ subnet: '10.66.0.0/24' }, { subnet: 'fd00:66::/64' }] },
  dns: { allow: names },
  policy,
  options: { 'com.docker.network.bridge.name': BRIDGE },
};

const { values } = parseArgs({
  options: { json: { type: 'boolean', default: false }, iptables: { type: 'boolean', default: false } },
});
const { available, reason } = kernelAvailability();
if (!available) throw new Error(`this example needs the real kernel: ${reason}`);
const lab = await Lab.open(values.iptables ? 'iptables' : 'nftables');
for (const signal of ['SIGINT', 'SIGTERM'] as const)
  process.once(signal, () => void lab.close().finally(() => process.exit(1)));
try {
  const network = await lab.controller.createNetwork(confined);
  await lab.addOthers(network);
  const lists = attempts(await lab.linkLocal());
  const all = [...lists.flat(), ...LOOKS];
  const first = await run(network, lists, true);
  // The same once more with nothing in the way: what fails now was never there to be reached.
  await network.update({ policy: [], dns: {} });
  const second = await run(network, lists, false);
  const rows = rowsOf(all, first, second);
  const unaccounted = strays(all, first, names);
  const ok = rows.every(({ held }) => held) && unaccounted.length === 0;
  if (values.json) console.log(JSON.stringify({ ok, rows, strays: unaccounted }));
  else {
    console.log(table(rows));
    for (const line of unaccounted) console.log(`✗ arrived all the same: ${line}`);
    console.log(
      `\n${ok ? 'everything held' : 'FAILED'}: ${rows.filter(({ held }) => held).length} of ${rows.length}`,
    );
  }
  process.exitCode = ok ? 0 : 1;
} finally {
  await lab.close();
}

/** Has the code try everything, in a fresh container. */
async function run(network: Network, lists: ReturnType<typeof attempts>, isConfined: boolean): Promise<Run> {
  const sandbox = await lab.controller.createSandbox({ containerId: 'guest' });
  await (await network.createEndpoint({ name: 'guest', ipv4: GUEST.ipv4, ipv6: GUEST.ipv6 })).join(sandbox);
  lab.witness.seen.length = 0;
  const told = await runUntrusted(
    lab.directory,
    sandbox,
    lists.map((list) => list.map((each) => timed(each, isConfined))),
  );
  const looked = await lookAround(lab, isConfined ? SHORT_MS : LONG_MS);
  await sandbox.delete();
  return { told: [...told, ...looked], seen: [...lab.witness.seen] };
}
