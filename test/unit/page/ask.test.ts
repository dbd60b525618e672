import { createServer, type RequestListener } from 'node:http';
import { describe, expect, it } from 'vitest';
import { ask, Unanswered } from '../../../src/page/ask.ts';

async function asking(listener: RequestListener): Promise<unknown> {
  const server = createServer(listener);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const port = typeof address === 'object' ? address?.port : undefined;
  try {
    return await ask(`http://127.0.0.1:${port}/`);
  } finally {
    server.close();
    server.closeAllConnections();
  }
}

describe('a question of the page', () => {
  it('has the answer', async () => {
    expect(await asking((_, answer) => answer.end('{"networks":[]}'))).toEqual({ networks: [] });
  });

  it('is asked once more when it is cut off before the answer', async () => {
    let asked = 0;
    const answered = asking((_, answer) => {
      asked += 1;
      if (asked === 1) answer.destroy();
      else answer.end('{"networks":[]}');
    });
    expect(await answered).toEqual({ networks: [] });
    expect(asked).toBe(2);
  });

  it('fails as unanswered when the daemon is cut off each time', async () => {
    await expect(asking((_, answer) => answer.destroy())).rejects.toThrow(Unanswered);
  });

  it('fails as unanswered when the daemon goes within its answer, so that it is asked again', async () => {
    const broken = asking((_, answer) => {
      answer.writeHead(200, { 'content-length': 100 });
      answer.write('{"networks":[', () => answer.destroy());
    });
    await expect(broken).rejects.toThrow(Unanswered);
  });

  it('fails as unanswered by what is no JSON, and by a refusal with its words', async () => {
    await expect(asking((_, answer) => answer.end('<html>'))).rejects.toThrow(Unanswered);
    const refused = asking((_, answer) => {
      answer.statusCode = 404;
      answer.end('{"error":{"message":"there is no sandbox a"}}');
    });
    await expect(refused).rejects.toThrow('there is no sandbox a');
  });
});
