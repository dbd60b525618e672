/** The name table of one thread, seen from another one as it is at every moment. */
import { MessageChannel, type MessagePort, receiveMessageOnPort } from 'node:worker_threads';
import type { Family } from '../ip.ts';
import { type NameChange, type NameSource, NameTable, type ServiceTarget } from './names.ts';
import type { Way } from './policy.ts';

/** What the other thread needs for a `NameMirror`; the port is to be transferred. */
export interface MirrorData {
  readonly changes: MessagePort;
  /** How many changes were sent, for both threads to see at once. */
  readonly sent: Int32Array;
}

/** Sends a table's names, and every change from now on. */
export function mirror(names: NameTable): { readonly data: MirrorData; stop(): void } {
  const { port1, port2 } = new MessageChannel();
  const sent = new Int32Array(new SharedArrayBuffer(4));
  const stop = names.follow((change) => {
    port1.postMessage(change);
    // Counted after it was sent: who sees the number finds the message.
    Atomics.add(sent, 0, 1);
  });
  return {
    data: { changes: port2, sent },
    stop: () => {
      stop();
      port1.close();
    },
  };
}

/**
 * The names that another thread sends. Before every answer it takes in what was sent until then, so that a change
 * holds for the next question as if both were in one thread.
 */
export class NameMirror implements NameSource {
  readonly #names = new NameTable();
  readonly #changes: MessagePort;
  readonly #sent: Int32Array;
  #taken = 0;

  constructor({ changes, sent }: MirrorData) {
    this.#changes = changes;
    this.#sent = sent;
    changes.on('message', (change: NameChange) => this.#take(change));
  }

  lookup(sandbox: string, name: string, family: Family): ReturnType<NameSource['lookup']> {
    this.#catchUp();
    return this.#names.lookup(sandbox, name, family);
  }

  reverse(sandbox: string, address: string): readonly string[] | undefined {
    this.#catchUp();
    return this.#names.reverse(sandbox, address);
  }

  service(sandbox: string, name: string): readonly ServiceTarget[] | undefined {
    this.#catchUp();
    return this.#names.service(sandbox, name);
  }

  mayForward(sandbox: string, name: string, way: Way): boolean {
    this.#catchUp();
    return this.#names.mayForward(sandbox, name, way);
  }

  allowedBy(sandbox: string, name: string): readonly string[] {
    this.#catchUp();
    return this.#names.allowedBy(sandbox, name);
  }

  #catchUp(): void {
    while (this.#taken !== Atomics.load(this.#sent, 0)) {
      const next = receiveMessageOnPort(this.#changes);
      if (next === undefined) return;
      this.#take(next.message);
    }
  }

  #take(change: NameChange): void {
    // As a 32-bit number, which is what the count becomes in time.
    this.#taken = (this.#taken + 1) | 0;
    this.#names.change(change);
  }
}
