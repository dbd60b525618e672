/** What the thread of served ports runs: see `thread.ts`, which starts it. */
import { parentPort } from 'node:worker_threads';
import { serve } from './serve.ts';
import type { Answer, Order } from './thread.ts';

const served = new Map<number, { close(): void }>();

parentPort?.on('message', (order: Order) => {
  obey(order).then(
    () => tell({ id: order.id, failure: undefined }),
    (error: unknown) =>
      tell({ id: order.id, failure: error instanceof Error ? error.message : String(error) }),
  );
});

/** Orders about a port come one after the other, each once the one before was answered. */
async function obey(order: Order): Promise<void> {
  if (order.op === 'serve') {
    served.set(order.port, await serve(order.serve));
    return;
  }
  served.get(order.port)?.close();
  served.delete(order.port);
}

function tell(answer: Answer): void {
  parentPort?.postMessage(answer);
}
