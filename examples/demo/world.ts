import type { Sandbox } from 'libnetwork';
import type { Osl } from 'libnetwork/osl';

/** Where the demo plays. Everything else in it is the same on the real kernel and on the one in memory. */
export interface World {
  readonly kind: 'linux' | 'fake';
  readonly osl: Osl;
  /** Starts the demo's web server in a sandbox; resolves once it listens on all its ports. */
  startServer(sandbox: Sandbox): Promise<RunningServer>;
  /** Asks a name server from inside a sandbox, as a program there would. */
  lookUp(sandbox: Sandbox, server: string, question: Question): Promise<readonly string[]>;
  /** Namespaces kept alive by a mount under a directory, as the kernel tells. */
  mountsUnder(directory: string): Promise<readonly string[]>;
}

/** `A` and `AAAA` ask for a name's addresses, `PTR` for an address's names. */
export interface Question {
  readonly type: 'A' | 'AAAA' | 'PTR';
  readonly name: string;
}

export interface RunningServer {
  /** Ends it; resolves when it is gone. */
  stop(): Promise<void>;
}

/** The port that the demo publishes, and one that it does not. The server listens on both. */
export const PUBLISHED = 80;
export const UNPUBLISHED = 8081;
export const GREETING = 'hello from web';
