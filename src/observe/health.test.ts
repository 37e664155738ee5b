import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type RequestListener } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { parseTarget } from './health/checks.ts';
import type { Clock } from './health/watch.ts';
import { createHealth, type HealthOptions } from './health.ts';

/** Time that passes when it is told to. */
function createManualClock(): Clock & { pass(milliseconds: number): void } {
  let now = 0;
  let pending: { at: number; action: () => void }[] = [];
  return {
    after(milliseconds, action) {
      const entry = { at: now + milliseconds, action };
      pending.push(entry);
      return () => {
        pending = pending.filter((other) => other !== entry);
      };
    },
    pass(milliseconds) {
      now += milliseconds;
      const due = pending.filter(({ at }) => at <= now);
      pending = pending.filter(({ at }) => at > now);
      for (const { action } of due) action();
    },
  };
}

const pace = { interval: 10_000, threshold: 0 };

function setUp(options: Partial<HealthOptions> = {}) {
  const clock = createManualClock();
  const lines: string[] = [];
  const log = {
    info: (message: string, fields: Record<string, unknown>) => lines.push(`${message} ${fields.check}`),
    warn: (message: string, fields: Record<string, unknown>) => lines.push(`${message} ${fields.check}`),
  };
  const health = createHealth({ checkStorage: async () => {}, log, clock, ...options });
  onTestFinished(() => health.stop());
  return { health, clock, lines };
}

/** Lets what runs without time come to its end. */
async function settle() {
  for (let turn = 0; turn < 5; turn++) await nextTurn();
}

const storage = (run: HealthOptions['checkStorage'], more = {}): Partial<HealthOptions> => ({
  storagedriver: { enabled: true, ...pace, ...more },
  checkStorage: run,
});

describe('health', () => {
  test('is good while nothing has been found', () => {
    const { health } = setUp(storage(() => Promise.reject(new Error('no'))));
    expect(health.status()).toEqual({ healthy: true, failing: {} });
    expect(health.failing()).toBeUndefined();
  });

  test('is looked at from the start, and again after each interval', async () => {
    let calls = 0;
    const { health, clock } = setUp(
      storage(async () => {
        calls += 1;
      }),
    );
    health.start();
    await settle();
    expect(calls).toBe(1);
    clock.pass(9999);
    await settle();
    expect(calls).toBe(1);
    clock.pass(1);
    await settle();
    expect(calls).toBe(2);
  });

  test('is bad while a check fails, with the reason, and said once', async () => {
    let good = false;
    const { health, clock, lines } = setUp(
      storage(async () => {
        if (!good) throw new Error('disk gone');
      }),
    );
    health.start();
    await settle();
    expect(health.status()).toEqual({ healthy: false, failing: { storagedriver: 'disk gone' } });
    expect(health.failing()).toEqual({ storagedriver: 'disk gone' });
    clock.pass(10_000);
    await settle();
    good = true;
    clock.pass(10_000);
    await settle();
    expect(health.status()).toEqual({ healthy: true, failing: {} });
    expect(lines).toEqual(['a health check fails storagedriver', 'a health check succeeds again storagedriver']);
  });

  test('is bad only when a check fails as often in a row as the threshold says', async () => {
    const outcomes = [false, false, true, false, false, false];
    const { health, clock } = setUp(
      storage(
        async () => {
          if (outcomes.shift() === false) throw new Error('no');
        },
        { threshold: 3 },
      ),
    );
    health.start();
    const seen: boolean[] = [];
    while (outcomes.length > 0) {
      await settle();
      seen.push(health.status().healthy);
      clock.pass(10_000);
    }
    await settle();
    expect([...seen, health.status().healthy]).toEqual([true, true, true, true, true, false]);
  });

  test('is bad when a check does not come to an end, which is told to give up', async () => {
    let aborted = false;
    const { health, clock } = setUp(
      storage(
        (signal) =>
          new Promise(() => {
            signal.addEventListener('abort', () => {
              aborted = true;
            });
          }),
      ),
    );
    health.start();
    clock.pass(10_000);
    await settle();
    expect(aborted).toBe(true);
    expect(health.status().failing).toEqual({ storagedriver: 'no answer within 10000 ms' });
  });

  test('does not ask the storage unless that is enabled', async () => {
    let asked = false;
    const { health } = setUp(
      storage(
        async () => {
          asked = true;
        },
        { enabled: false },
      ),
    );
    health.start();
    await settle();
    expect(asked).toBe(false);
  });

  test('is not looked at after the end', async () => {
    let calls = 0;
    const { health, clock } = setUp(
      storage(async () => {
        calls += 1;
      }),
    );
    health.start();
    await settle();
    health.stop();
    clock.pass(60_000);
    await settle();
    expect(calls).toBe(1);
  });
});

/** Starts the checks and resolves with the first reason that is logged, or that nothing is wrong. */
async function outcome(options: Partial<HealthOptions>): Promise<string> {
  return new Promise((resolve) => {
    const log = { info: () => {}, warn: (_: string, { reason }: Record<string, unknown>) => resolve(String(reason)) };
    let health: ReturnType<typeof createHealth> | undefined;
    const clock: Clock = {
      after(milliseconds, action) {
        // The next round is asked for when this one is over.
        if (milliseconds === 77_777) resolve(health?.status().healthy === true ? 'healthy' : 'unhealthy');
        const timer = setTimeout(action, milliseconds).unref();
        return () => clearTimeout(timer);
      },
    };
    health = createHealth({ checkStorage: async () => {}, log, clock, ...options });
    onTestFinished(() => health?.stop());
    health.start();
  });
}

const rare = { interval: 77_777, threshold: 0, timeout: 5000 };

async function listen(answer: RequestListener): Promise<string> {
  const server = createServer(answer).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a file check', () => {
  test('fails while the file exists', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'berth-health-'));
    onTestFinished(() => rm(folder, { recursive: true }));
    const file = join(folder, 'down');
    expect(await outcome({ file: [{ ...rare, file }] })).toBe('healthy');
    await writeFile(file, '');
    expect(await outcome({ file: [{ ...rare, file }] })).toBe('file exists');
    expect(await outcome({ file: [{ ...rare, file: join(file, 'below') }] })).toMatch(/ENOTDIR/);
  });
});

describe('an HTTP check', () => {
  test('asks by HEAD, with the headers, for the status', async () => {
    const seen: unknown[] = [];
    const address = await listen((request, response) => {
      seen.push([request.method, request.headers['x-a'], request.headers.authorization]);
      response.writeHead(204).end();
    });
    const headers = { 'X-A': ['1', '2'], Authorization: [{ reveal: () => 'Basic x' }] };
    const check = { ...rare, uri: `http://${address}/`, headers };
    expect(await outcome({ http: [{ ...check, statuscode: 204 }] })).toBe('healthy');
    expect(await outcome({ http: [{ ...check, statuscode: 200 }] })).toBe('answered with status 204 instead of 200');
    expect(seen).toEqual(Array.from({ length: 2 }, () => ['HEAD', '1, 2', 'Basic x']));
  });

  test('says why there is no answer', async () => {
    const silent = await listen(() => {});
    const check = { ...rare, headers: {}, statuscode: 200 };
    expect(await outcome({ http: [{ ...check, uri: `http://${silent}/`, timeout: 30 }] })).toBe(
      'no answer within 30 ms',
    );
    expect(await outcome({ http: [{ ...check, uri: 'http://127.0.0.1:1/' }] })).toMatch(/^fetch failed: .+/);
  });

  test('does not show the secrets of its URL', async () => {
    const uri = 'http://127.0.0.1:1/?token=hidden&n=3';
    const { health } = setUp({ http: [{ ...rare, headers: {}, statuscode: 200, uri }] });
    health.start();
    const shown = 'http://127.0.0.1:1/?token=<redacted>&n=3';
    await expect.poll(() => health.failing()).toEqual({ [shown]: expect.stringContaining('fetch failed') });
    expect(health.status().failing).toHaveProperty([shown]);
  });
});

describe('a TCP check', () => {
  test.each([
    [':5000', 'localhost', 5000],
    ['db:5432', 'db', 5432],
    ['[::1]:80', '::1', 80],
    ['[fe80::1%eth0]:80', 'fe80::1%eth0', 80],
  ])('reads %s', (addr, host, port) => expect(parseTarget(addr)).toEqual({ host, port }));

  test.each(['db:http', 'db', '::1:80', ':65536'])('is not made of %j', (addr) => {
    expect(() => parseTarget(addr)).toThrow(TypeError);
  });

  test('fails when nobody takes the connection', async () => {
    const server = createTcpServer().listen(0, '::1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    expect(await outcome({ tcp: [{ ...rare, addr: `[::1]:${port}` }] })).toBe('healthy');
    server.close();
    await once(server, 'close');
    expect(await outcome({ tcp: [{ ...rare, addr: `[::1]:${port}` }] })).toMatch(/ECONNREFUSED/);
  });
});
