import { request } from 'node:http';
import type { Namespace } from 'libnetwork/osl';

/** An address as it stands in a URL. */
export function inUrl(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** The body of `http://address:port/`, fetched from inside a namespace. */
export async function httpGet(from: Namespace, address: string, port: number): Promise<string> {
  const connection = await from.connectTcp(address, port, { timeoutMs: 2000 });
  try {
    return await new Promise<string>((resolve, reject) => {
      const options = { createConnection: () => connection, host: inUrl(address), port, path: '/' };
      const call = request(options, (response) => {
        let body = '';
        response.setEncoding('utf8');
        response.on('data', (text: string) => {
          body += text;
        });
        response.on('end', () => resolve(body));
        response.on('error', reject);
      });
      call.on('error', reject);
      call.end();
    });
  } finally {
    connection.destroy();
  }
}

/** True when a connection can be made. */
export async function canConnect(from: Namespace, address: string, port: number): Promise<boolean> {
  try {
    const connection = await from.connectTcp(address, port, { timeoutMs: 500 });
    connection.destroy();
    return true;
  } catch (error) {
    if (
      error instanceof Error &&
      'code' in error &&
      (error.code === 'TIMEOUT' || error.code === 'UNAVAILABLE')
    )
      return false;
    throw error;
  }
}
