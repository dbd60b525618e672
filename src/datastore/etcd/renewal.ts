import type { LeaseClient } from 'etcd3';
import { LibnetworkError } from '../../errors.ts';

type CallOptions = Parameters<LeaseClient['leaseKeepAlive']>[0];

/** Renews a lease once; false when etcd has none of that id. etcd takes renewals as a stream: this one has one. */
export async function renewOnce(client: LeaseClient, id: string, options: CallOptions): Promise<boolean> {
  const stream = await client.leaseKeepAlive(options);
  try {
    return await new Promise((resolve, reject) => {
      stream.on('data', ({ TTL }) => resolve(Number(TTL) > 0));
      stream.on('error', reject);
      stream.on('end', () => reject(new LibnetworkError('UNAVAILABLE', 'etcd ended the renewal')));
      stream.write({ ID: id });
    });
  } finally {
    stream.cancel();
  }
}
