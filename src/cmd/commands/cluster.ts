/** The cluster: its hosts, and the keys that they share. */
import type { Command } from 'commander';
import type { ClusterHost } from '../../client/client.ts';
import { act, actSlowly, FORMAT, type Kit } from './kit.ts';

export function clusterCommands(program: Command, kit: Kit): void {
  const { output } = kit;
  act<[], { format?: string }>(
    program
      .command('host')
      .description('the hosts of the cluster')
      .command('ls')
      .description('list them, with whether they live')
      .option(...FORMAT),
    async (client, { format }) => {
      const hosts = await client.hosts();
      if (hosts.length === 0)
        output.note('there is no cluster: daemons are in one by `dnet daemon --cluster-store`');
      output.list<ClusterHost>(
        hosts,
        [
          { title: 'HOST', of: ({ id, self }) => (self ? `${id} (this one)` : id) },
          { title: 'ADDRESS', of: ({ address }) => address ?? '' },
          { title: 'STATUS', of: ({ live }) => (live ? 'live' : 'gone') },
        ],
        format,
      );
    },
  );
  actSlowly<[], object>(
    kit,
    program
      .command('keys')
      .description('what the hosts of the cluster encrypt with')
      .command('rotate')
      .description('agree on a new key; ends when all hosts use it, and traffic goes on'),
    'agreeing on a new key',
    async (client) => client.rotateKeys(),
  );
}
