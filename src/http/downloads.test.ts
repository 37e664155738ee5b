import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientHttp2Session, connect as connectHttp2 } from 'node:http2';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createFilesystemDriver } from '../../storage-drivers/filesystem/driver.ts';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../oci/digest.ts';
import { parseRepositoryName } from '../oci/name.ts';
import { layout } from '../registry/layout.ts';
import { createStorageRegistry } from '../registry/storage-registry.ts';
import { connectRaw } from './listen/testing/raw-client.ts';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { listen } from './listen.ts';
import { createTestApp } from './testing/test-app.ts';

/** Blobs on their way to clients that are slow, and blobs that are not what they were. */

const cut = 'cut a client that neither sent nor took bytes';
const name = parseRepositoryName('a');
// More than the kernel takes for a client that reads nothing.
const large = randomBytes(48 * 1024 * 1024);

const drivers: Record<string, () => Promise<StorageDriver>> = {
  inmemory: async () => createInMemoryDriver(),
  filesystem: async () => {
    const rootdirectory = await mkdtemp(join(tmpdir(), 'berth-downloads-'));
    onTestFinished(() => rm(rootdirectory, { recursive: true, force: true }));
    return createFilesystemDriver({ rootdirectory, maxthreads: 100 });
  },
};

interface Watched {
  /** Readers that are open. */
  readonly open: () => number;
  readonly driver: StorageDriver;
}

function watched(driver: StorageDriver): Watched {
  const open = new Set<object>();
  return {
    open: () => open.size,
    driver: {
      ...forwarded(driver),
      async reader(path, options) {
        const reader = await driver.reader(path, options);
        open.add(reader);
        return {
          size: reader.size,
          [Symbol.asyncIterator]: () => reader[Symbol.asyncIterator](),
          async close() {
            open.delete(reader);
            await reader.close();
          },
        };
      },
    },
  };
}

/** Its calls as properties, to be laid over. */
function forwarded(driver: StorageDriver): StorageDriver {
  return {
    name: driver.name,
    get: (path, options) => driver.get(path, options),
    put: (path, content, options) => driver.put(path, content, options),
    putAll: (objects, options) => driver.putAll(objects, options),
    reader: (path, options) => driver.reader(path, options),
    writer: (path, options) => driver.writer(path, options),
    begin: (path, marker) => driver.begin(path, marker),
    kept: (path, options) => driver.kept(path, options),
    stat: (path, options) => driver.stat(path, options),
    list: (path, options) => driver.list(path, options),
    delete: (path, options) => driver.delete(path, options),
  };
}

async function serve(driver: StorageDriver, timeouts: { body?: number } = {}) {
  const log = createRecordingLog();
  const registry = createStorageRegistry({ driver });
  const app = createTestApp({ registry, log });
  const listening = await listen(app.fetch, { addr: '127.0.0.1:0', net: 'tcp', h2c: { enabled: true }, timeouts, log });
  onTestFinished(() => listening.drain(0));
  const { hostname, port } = new URL(listening.url);
  return { url: listening.url, target: { host: hostname, port: Number(port) }, log, registry, settled: app.settled };
}

async function push(registry: ReturnType<typeof createStorageRegistry>, bytes: Buffer) {
  const digest = digestOf(bytes);
  async function* body() {
    yield Buffer.from(bytes);
  }
  await registry.repository(name).uploads.put(digest, body());
  return digest;
}

describe.each(Object.entries(drivers))('a client that takes no byte of a blob on %s', (_, create) => {
  test('is cut over HTTP/1.1 after the time of a body, and the reader is closed', async () => {
    const { driver, open } = watched(await create());
    const { target, log, registry, settled } = await serve(driver, { body: 200 });
    const digest = await push(registry, large);
    const client = await connectRaw(target);
    onTestFinished(() => void client.socket.destroy());
    await client.send(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: r\r\n\r\n`);
    await client.until('200 OK');
    client.socket.pause();
    await log.seen(cut);
    await settled();
    expect(open()).toBe(0);
  });

  test('is cut over HTTP/2 after the time of a body, and the reader is closed', async () => {
    const { driver, open } = watched(await create());
    const { url, log, registry, settled } = await serve(driver, { body: 200 });
    const digest = await push(registry, large);
    const session: ClientHttp2Session = connectHttp2(url);
    onTestFinished(() => void session.destroy());
    const stream = session.request({ ':path': `/v2/a/blobs/${digest}` });
    stream.on('error', () => undefined);
    await new Promise((resolve) => stream.once('response', resolve));
    await log.seen(cut);
    await settled();
    expect(open()).toBe(0);
  });
});

describe.each(Object.entries(drivers))('a blob on %s whose object was replaced behind the back', (_, create) => {
  const known = randomBytes(100_000);
  const beyond = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nEVIL!';

  test.each([
    ['longer', Buffer.concat([known, Buffer.from(beyond)])],
    ['shorter', known.subarray(0, 90_000)],
    ['short', known.subarray(0, 10)],
    ['empty', Buffer.alloc(0)],
  ])('by a %s one is refused before the answer begins, and not for ever', async (_length, replacement) => {
    const driver = await create();
    const { url, registry } = await serve(driver);
    const digest = await push(registry, known);
    const target = `${url}/v2/a/blobs/${digest}`;
    expect(Buffer.from(await (await fetch(target)).arrayBuffer()).equals(known)).toBe(true);
    await driver.put(layout.blobData(digest), replacement);
    const reply = await fetch(target);
    expect(reply.status).toBe(500);
    expect(await reply.text()).toContain('UNKNOWN');

    await driver.put(layout.blobData(digest), known);
    expect(Buffer.from(await (await fetch(target)).arrayBuffer()).equals(known)).toBe(true);
  });

  test('by nothing is unknown to GET, and to HEAD', async () => {
    const driver = await create();
    const { url, registry } = await serve(driver);
    const digest = await push(registry, known);
    await driver.delete(layout.blobData(digest));
    for (const headers of [{}, { Range: 'bytes=0-9' }, { Range: 'bytes=0-9,20-29' }]) {
      expect((await fetch(`${url}/v2/a/blobs/${digest}`, { headers })).status).toBe(404);
    }
    expect((await fetch(`${url}/v2/a/blobs/${digest}`, { method: 'HEAD' })).status).toBe(404);
  });
});

test('nothing is sent beyond the length of an answer, whatever the storage gives', async () => {
  const driver = createInMemoryDriver();
  const { target, registry } = await serve({
    ...driver,
    async reader(path, options) {
      const reader = await driver.reader(path, options);
      return {
        size: reader.size,
        async *[Symbol.asyncIterator]() {
          yield* reader;
          yield Buffer.from('HTTP/1.1 200 OK\r\n\r\n');
        },
        close: () => reader.close(),
      };
    },
  });
  const digest = await push(registry, randomBytes(100_000));
  const client = await connectRaw(target);
  await client.send(`GET /v2/a/blobs/${digest} HTTP/1.1\r\nHost: r\r\n\r\n`);
  const text = await client.ended();
  expect(text.length - text.indexOf('\r\n\r\n') - 4).toBeLessThanOrEqual(100_000);
});
