import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseWrk, runWrk } from './wrk.ts';

function printed(requests: number, bytes: number, errors: object = {}) {
  const all = { status: 0, connect: 0, read: 0, write: 0, timeout: 0, ...errors };
  return `Running 2s test\nresult ${JSON.stringify({ requests, microseconds: 2_000_000, bytes, errors: all })}\n`;
}

describe('the results of wrk', () => {
  it('gives requests and seconds', () => {
    expect(parseWrk(printed(5000, 10_000_000), 1000)).toEqual({ amount: 5000, total: 5000, seconds: 2, samples: [] });
  });

  it.each([{ status: 3 }, { connect: 1 }, { read: 1 }, { write: 1 }, { timeout: 1 }])('fails on %o', (errors) => {
    expect(() => parseWrk(printed(5000, 10_000_000, errors), 1000)).toThrow(Object.keys(errors)[0]);
  });

  it('fails without any answer, with too few bytes and without a result', () => {
    expect(() => parseWrk(printed(0, 0), 1000)).toThrow('no answer');
    expect(() => parseWrk(printed(5000, 4_000_000), 1000)).toThrow('at least 1000 bytes');
    expect(() => parseWrk('unable to connect', 1000)).toThrow('unable to connect');
  });
});

describe('a run of wrk', () => {
  async function measured(answer: (url: string) => number) {
    const asked = new Map<string, number>();
    const server = createServer((request, response) => {
      const url = request.url ?? '';
      asked.set(url, (asked.get(url) ?? 0) + 1);
      response.writeHead(answer(url)).end(`${request.headers.accept}`.padEnd(100));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const folder = await mkdtemp(join(tmpdir(), 'bench-wrk-'));
    try {
      const address = server.address();
      const port = typeof address === 'object' && address !== null ? address.port : 0;
      const options = { paths: ['/one', '/two'], accept: 'a/b', smallest: 100, seconds: 1, connections: 2 };
      const signal = AbortSignal.timeout(20_000);
      const work = await runWrk({ ...options, url: `http://127.0.0.1:${port}`, folder, signal });
      return { work, asked };
    } finally {
      server.close();
      server.closeAllConnections();
      await rm(folder, { recursive: true });
    }
  }

  it('asks for the paths in turn', async () => {
    const { work, asked } = await measured(() => 200);
    expect([...asked.keys()].sort()).toEqual(['/one', '/two']);
    expect(Math.abs((asked.get('/one') ?? 0) - (asked.get('/two') ?? 0))).toBeLessThanOrEqual(2);
    expect(work.amount).toBeGreaterThan(0);
  });

  it('fails loudly when only some answers are faults', async () => {
    await expect(measured((url) => (url === '/two' ? 404 : 200))).rejects.toThrow('status');
  });
});
