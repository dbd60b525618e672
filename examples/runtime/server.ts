/** One request for each command, over HTTP on a unix socket: the words as a JSON list, the answer as JSON. */
import { once } from 'node:events';
import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';

const MOST_BYTES = 65_536;
const MOST_MS = 60_000;

/** Listens until the answer is called. Only the user who runs it (root) gets in. */
export async function serve(
  socket: string,
  execute: (words: readonly string[]) => Promise<unknown>,
): Promise<() => Promise<void>> {
  const server = createServer({ requestTimeout: MOST_MS }, async (incoming, response) => {
    try {
      const answer = await execute(words(await read(incoming)));
      response.end(JSON.stringify({ answer: answer ?? null }));
    } catch (error) {
      response.writeHead(400).end(JSON.stringify({ error: explain(error) }));
    }
  });
  // What a killed one left; that none is alive the store's lock has shown.
  await rm(socket, { force: true });
  const before = process.umask(0o177);
  server.listen(socket);
  await once(server, 'listening');
  process.umask(before);
  return async () => {
    server.close();
    server.closeIdleConnections();
    await once(server, 'close');
  };
}

/** Has the daemon at a socket execute a command. @throws Error with its words, or that there is none */
export async function ask(socket: string, command: readonly string[]): Promise<unknown> {
  const asked = request({ socketPath: socket, method: 'POST', signal: AbortSignal.timeout(MOST_MS) });
  asked.end(JSON.stringify(command));
  const [response] = (await once(asked, 'response').catch((cause: unknown) => {
    throw new Error(`no daemon answers at ${socket}`, { cause });
  })) as [IncomingMessage];
  const { answer, error } = JSON.parse(await text(response));
  if (error !== undefined) throw new Error(error);
  return answer;
}

async function read(incoming: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of incoming) {
    bytes += chunk.length;
    if (bytes > MOST_BYTES) throw new Error(`a request has at most ${MOST_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function words(body: string): readonly string[] {
  const value: unknown = JSON.parse(body);
  if (!Array.isArray(value) || !value.every((each) => typeof each === 'string'))
    throw new Error('the request is no list of words');
  return value;
}

/** Of several failures each, and of each what led to it. */
function explain(error: unknown): string {
  if (error instanceof AggregateError) return `${error.message}: ${error.errors.map(explain).join('; ')}`;
  return error instanceof Error ? error.message : String(error);
}
