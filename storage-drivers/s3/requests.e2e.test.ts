import { randomUUID } from 'node:crypto';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { pattern, readAll } from '../testing/fixture.ts';
import type { ProxyRequest } from './testing/fault-proxy.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

const mebibyte = 1024 * 1024;
let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, 60_000);
beforeEach(() => {
  storage.proxy.clear();
  storage.proxy.forget();
});
afterAll(() => storage.dispose(), 60_000);

/** Makes objects in every way there is. The server may refuse: what it is asked counts. */
async function makeObjects(over: Record<string, unknown>): Promise<ProxyRequest[]> {
  const driver = storage.another({ rootdirectory: randomUUID(), ...over });
  const attempts = [
    () => driver.put('/put', Buffer.from('x')),
    async () => {
      const kept = await driver.writer('/uploads/1/data', { append: true });
      await kept.write(Buffer.from('kept'));
      await kept.close();
      await (await driver.writer('/uploads/1/data', { append: true })).commit('/copied');
    },
    async () => {
      const direct = await driver.writer('/uploads/2/data', { append: true, to: '/parts' });
      await direct.write(Buffer.alloc(6 * mebibyte));
      await direct.commit('/parts');
    },
  ];
  for (const attempt of attempts) await attempt().catch(() => undefined);
  const making = ['PutObject', 'CopyObject', 'CreateMultipartUpload'];
  return storage.proxy.requests.filter(({ operation }) => making.includes(operation));
}

/** The `x-amz-` headers that say what an object is like, of all requests that make one. */
async function attributesOf(over: Record<string, unknown>): Promise<unknown[]> {
  const attribute = /^x-amz-(acl|storage-class|server-side-encryption.*)$/;
  const seen = (await makeObjects(over)).map(({ headers }) =>
    JSON.stringify(Object.entries(headers).filter(([name]) => attribute.test(name))),
  );
  return [...new Set(seen)].map((text) => Object.fromEntries(JSON.parse(text) as [string, string][]));
}

describe('each object that is made', { timeout: 60_000 }, () => {
  test.each([
    [{}, {}],
    [{ storageclass: 'NONE', objectacl: 'private' }, {}],
    [{ storageclass: 'STANDARD_IA' }, { 'x-amz-storage-class': 'STANDARD_IA' }],
    [{ objectacl: 'bucket-owner-full-control' }, { 'x-amz-acl': 'bucket-owner-full-control' }],
    [{ encrypt: true }, { 'x-amz-server-side-encryption': 'AES256' }],
    [
      { encrypt: true, keyid: 'key-1' },
      { 'x-amz-server-side-encryption': 'aws:kms', 'x-amz-server-side-encryption-aws-kms-key-id': 'key-1' },
    ],
  ])('is asked for with %j as %j, and nothing else', async (over, headers) => {
    expect(await attributesOf(over)).toEqual([headers]);
  });

  test('has a type that no browser shows, and nothing of what it was made from', async () => {
    const { bucket, driver, parameters } = storage;
    const kept = await driver.writer('/uploads/3/data', { append: true });
    await kept.write(Buffer.from('kept'));
    await kept.close('a note');
    await (await driver.writer('/uploads/3/data', { append: true })).commit('/object');
    const Key = `${String(parameters.rootdirectory).slice(1)}/object`;
    const head = await bucket.client.send(new HeadObjectCommand({ Bucket: bucket.name, Key }));
    expect(head).toMatchObject({ ContentType: 'application/octet-stream', Metadata: {} });
    expect(head.ContentEncoding).toBeUndefined();
  });

  test('the user agent ends with what the configuration says', async () => {
    const [request] = await makeObjects({ useragent: 'house-registry' });
    expect(request?.headers['user-agent']).toMatch(/house-registry/);
  });
});

describe('keys', { timeout: 60_000 }, () => {
  test.each([
    ['', 'a/b'],
    ['/', 'a/b'],
    ['/root', 'root/a/b'],
    ['root/', 'root/a/b'],
    ['//deep/er//', 'deep/er/a/b'],
  ])('below the root directory %j are those of distribution, without a slash in front', async (rootdirectory, key) => {
    const driver = storage.another({ rootdirectory });
    await driver.put('/a/b', Buffer.from('content'));
    expect(storage.proxy.requests.map((request) => request.key)).toEqual([key]);
    expect((await driver.get('/a/b')).toString()).toBe('content');
    const names: string[] = [];
    for await (const { name } of driver.list('/a')) names.push(name);
    expect(names).toEqual(['b']);
    await driver.delete('/a/b');
  });
});

describe('the bytes of an upload', { timeout: 120_000 }, () => {
  /** Keeps these pieces, commits, and says what the server was asked from then on. */
  async function commitOperations(over: Record<string, unknown>, ...sizes: readonly number[]): Promise<string[]> {
    const driver = storage.another({ rootdirectory: randomUUID(), ...over });
    const content = pattern(sizes.reduce((sum, size) => sum + size, 0));
    let position = 0;
    for (const size of sizes) {
      const writer = await driver.writer('/uploads/1/data', { append: true });
      await writer.write(content.subarray(position, position + size));
      await writer.close();
      position += size;
    }
    storage.proxy.forget();
    const writer = await driver.writer('/uploads/1/data', { append: true });
    await writer.commit('/blob');
    const operations = [...storage.proxy.operations];
    expect((await readAll(await driver.reader('/blob'))).equals(content)).toBe(true);
    await driver.delete('/uploads/1');
    expect(await storage.uploads()).toEqual([]);
    return operations.filter((operation) => operation !== 'ListObjectsV2').sort();
  }

  test('are copied at once up to the threshold, in parts beyond it', async () => {
    const limits = {
      multipartcopythresholdsize: 6 * mebibyte,
      multipartcopychunksize: 5 * mebibyte,
      chunksize: 32 * mebibyte,
    };
    expect(await commitOperations(limits, 6 * mebibyte)).toEqual(['CopyObject']);
    expect(await commitOperations(limits, 16 * mebibyte)).toEqual([
      'CompleteMultipartUpload',
      'CreateMultipartUpload',
      'PutObject',
      'UploadPartCopy',
      'UploadPartCopy',
      'UploadPartCopy',
    ]);
  });

  test('are gathered in memory where pieces are too small to be parts', async () => {
    expect(await commitOperations({}, 100_000, 1, 200_000)).toEqual([
      'GetObject',
      'GetObject',
      'GetObject',
      'PutObject',
    ]);
    expect(await commitOperations({}, 100_000, 8 * mebibyte, 5)).toEqual([
      'CompleteMultipartUpload',
      'CreateMultipartUpload',
      ...Array(5).fill('GetObject'),
      'PutObject',
      ...Array(2).fill('UploadPart'),
    ]);
  });

  test('are copied by no more requests at a time than is allowed', async () => {
    const limits = { multipartcopychunksize: 5 * mebibyte, multipartcopythresholdsize: 0, chunksize: 40 * mebibyte };
    const driver = storage.another({ rootdirectory: randomUUID(), multipartcopymaxconcurrency: 2, ...limits });
    const writer = await driver.writer('/uploads/1/data', { append: true });
    await writer.write(pattern(40 * mebibyte));
    await writer.close();
    storage.proxy.inject({ operations: ['UploadPartCopy'], fault: { kind: 'stall', at: 'answer', ms: 100 } });
    let most = 0;
    let running = 0;
    const committed = (await driver.writer('/uploads/1/data', { append: true })).commit('/blob');
    const watch = async (): Promise<void> => {
      for (;;) {
        const request = await storage.proxy.next('UploadPartCopy');
        running += 1;
        most = Math.max(most, running);
        void request.ended.then(() => {
          running -= 1;
        });
      }
    };
    void watch();
    await committed;
    expect(most).toBe(2);
    expect(storage.proxy.operations.filter((operation) => operation === 'UploadPartCopy')).toHaveLength(8);
  });
});

describe('a URL for clients', { timeout: 60_000 }, () => {
  test('gives the object to whoever has it, with no header of ours, for twenty minutes', async () => {
    const { driver } = storage;
    await driver.put('/some/blob+with~odd@signs', Buffer.from('the blob'));
    const url = await driver.redirectUrl?.('/some/blob+with~odd@signs', { method: 'GET' });
    expect(await (await fetch(url ?? '')).text()).toBe('the blob');
    expect(await (await fetch(url ?? '', { headers: { Range: 'bytes=4-' } })).text()).toBe('blob');
    const { searchParams } = new URL(url ?? '');
    expect(searchParams.get('X-Amz-Expires')).toBe('1200');
    expect(searchParams.get('X-Amz-SignedHeaders')).toBe('host');
    expect(url).not.toContain(String(storage.parameters.secretkey));
  });

  test('is none for HEAD, which such a URL does not allow', async () => {
    expect(await storage.driver.redirectUrl?.('/some/blob', { method: 'HEAD' })).toBeUndefined();
  });

  test('leads to the endpoint of clients, and costs no request', async () => {
    const driver = storage.another({ redirectendpoint: storage.bucket.server.endpoint });
    await driver.put('/elsewhere', Buffer.from('the blob'));
    storage.proxy.forget();
    const url = await driver.redirectUrl?.('/elsewhere', { method: 'GET' });
    expect(url?.startsWith(`${storage.bucket.server.endpoint}/${storage.bucket.name}/`)).toBe(true);
    expect(await (await fetch(url ?? '')).text()).toBe('the blob');
    expect(storage.proxy.requests).toEqual([]);
  });

  test('that was changed is refused', async () => {
    const url = new URL((await storage.driver.redirectUrl?.('/some/blob', { method: 'GET' })) ?? '');
    url.searchParams.set('X-Amz-Expires', '604800');
    expect((await fetch(url)).status).toBe(403);
  });
});
