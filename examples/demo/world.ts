import type { Osl } from 'libnetwork/osl';

/** Where the demo plays. Everything else in it is the same on the real kernel and on the one in memory. */
export interface World {
  readonly kind: 'linux' | 'fake';
  readonly osl: Osl;
  /** Serves `GREETING` over HTTP on the published and the unpublished port, and says so when it listens. */
  readonly server: Command;
  /** Called with name server, type and name, asks that one question and prints the answers as JSON. */
  readonly lookUp: Command;
  /** Namespaces kept alive by a mount under a directory, as the kernel tells. */
  mountsUnder(directory: string): Promise<readonly string[]>;
}

/** A program as `sandbox.spawn` starts it. */
export interface Command {
  readonly file: string;
  readonly args: readonly string[];
}

/** The port that the demo publishes, and one that it does not. The server listens on both. */
export const PUBLISHED = 80;
export const UNPUBLISHED = 8081;
export const GREETING = 'hello from web';
