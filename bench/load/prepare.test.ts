import { createServer } from 'node:http';
import { describe, expect, it } from 'vitest';
import { prepare } from './prepare.ts';

/** Runs `work` against a server that answers so, and gives what it was asked for. */
async function asked(
  answer: (url: string) => { status: number; body: string },
  work: (port: number) => Promise<void>,
): Promise<string[]> {
  const urls: string[] = [];
  const server = createServer((request, response) => {
    const url = request.url ?? '';
    urls.push(url);
    const { status, body } = answer(url);
    // Of unknown length, as long lists are.
    response.writeHead(status).write(body);
    response.end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    const address = server.address();
    await work(typeof address === 'object' && address !== null ? address.port : 0);
  } finally {
    server.closeAllConnections();
    server.close();
  }
  return urls;
}

describe('reading lists', () => {
  const paths = ['/first', '/second', '/last'];
  const job = { kind: 'lists', clients: 1, paths, smallest: 5, seconds: 0.05 } as const;

  it('goes through to the last page, also when the time is up before', async () => {
    let amount = 0;
    const urls = await asked(
      () => ({ status: 200, body: 'names' }),
      async (port) => {
        amount = (await prepare({ ...job, port, seconds: 1e-9 })()).amount;
      },
    );
    expect(urls).toEqual(paths);
    expect(amount).toBe(3);
  });

  it('begins anew while there is time', async () => {
    let amount = 0;
    const urls = await asked(
      () => ({ status: 200, body: 'names' }),
      async (port) => {
        // A machine may have other things to do.
        amount = (await prepare({ ...job, port, seconds: 1 })()).amount;
      },
    );
    expect(urls.length).toBeGreaterThan(paths.length);
    expect(urls.length % paths.length).toBe(0);
    expect(amount).toBe(urls.length);
  });

  it.each([
    { status: 503, body: 'names' },
    { status: 200, body: 'name' },
  ])('fails on %o', async (fault) => {
    const bad = (url: string) => (url === '/last' ? fault : { status: 200, body: 'names' });
    await asked(bad, async (port) => {
      await expect(prepare({ ...job, port })()).rejects.toThrow(`GET /last answers ${fault.status}`);
    });
  });
});
