import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import type { StorageDriver } from '../../storage-drivers/driver.ts';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { withFaults } from '../../storage-drivers/wrappers/faults.ts';
import { digestOf } from '../oci/digest.ts';
import { layout } from '../registry/layout.ts';
import type { Blob, ByteRange } from '../registry/registry.ts';
import { GrowingFile, SpoolError } from './downloads/growing-file.ts';
import { mirrorOver } from './testing/mirror-over.ts';
import { imageOf, startUpstreamRegistry, type UpstreamRegistry } from './testing/upstream-registry.ts';

const layer = randomBytes(1024 * 1024);
const digest = digestOf(layer);
const image = imageOf(layer);

let upstream: UpstreamRegistry;
beforeAll(async () => {
  upstream = await startUpstreamRegistry();
  for (const name of ['team/app', 'team/other']) upstream.push(name, image, 'latest');
});
beforeEach(() => {
  upstream.requests.length = 0;
  upstream.instead = () => false;
});
afterAll(() => upstream.close());

async function bytesOf(blob: Blob, range?: ByteRange): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of await blob.open(range)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const refused = (response: Parameters<UpstreamRegistry['instead']>[1]) => {
  response.writeHead(404).end();
  return true;
};

describe('who asks for what is not kept', () => {
  test('by HEAD hears how long it is, and nothing is downloaded', async () => {
    const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    const found = await Promise.all(Array.from({ length: 20 }, () => blobs.stat(digest)));
    for (const descriptor of found) expect(descriptor).toMatchObject({ digest, size: layer.length });
    expect(upstream.requests).toEqual([`HEAD team/app/blobs/${digest}`]);
    expect(downloads.running).toBe(0);
  });

  test.each([403, 405, 501])('by HEAD, of an upstream that answers it with %i, hears that too', async (status) => {
    upstream.instead = ({ method }, response) => {
      if (method === 'HEAD') response.writeHead(status).end();
      return method === 'HEAD';
    };
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    expect(await repository('docker.io/team/app').blobs.stat(digest)).toMatchObject({ size: layer.length });
  });

  test('gets it, in parts and whole, of one download, and then from the storage', async () => {
    const { repository, downloads, events } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    const all = await Promise.all(Array.from({ length: 10 }, async () => bytesOf(await blobs.get(digest))));
    const part = await bytesOf(await blobs.get(digest), { start: 5, end: 9 });
    for (const bytes of all) expect(bytes.equals(layer)).toBe(true);
    expect(part.equals(layer.subarray(5, 10))).toBe(true);
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
    expect(upstream.requests).toEqual([`GET team/app/blobs/${digest}`]);
    expect(events.at(-1)?.outcome).toBe('hit');
  });

  test('is not asked about twice what the upstream does not have', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    const nothing = digestOf(Buffer.from('nothing'));
    for (let count = 0; count < 3; count += 1) {
      await expect(blobs.get(nothing)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
      await expect(blobs.stat(nothing)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    }
    expect(upstream.requests).toHaveLength(1);
  });
});

test('a blob whose length the upstream does not say comes whole before it is given', async () => {
  upstream.instead = (_, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' });
    response.write(layer.subarray(0, 1000));
    response.end(layer.subarray(1000));
    return true;
  };
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  const found = await repository('docker.io/team/app').blobs.get(digest);
  expect(found.descriptor.size).toBe(layer.length);
  expect((await bytesOf(found)).equals(layer)).toBe(true);
});

describe('another repository', () => {
  test('gets what is kept already when the upstream has it there, too: for one HEAD', async () => {
    const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await bytesOf(await repository('docker.io/team/app').blobs.get(digest));
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    upstream.requests.length = 0;
    const { blobs } = repository('docker.io/team/other');
    await Promise.all(Array.from({ length: 10 }, async () => bytesOf(await blobs.get(digest))));
    await bytesOf(await blobs.get(digest));
    expect(upstream.requests).toEqual([`HEAD team/other/blobs/${digest}`]);
  });

  test('does not get it when the upstream does not have it there, or has something else', async () => {
    const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await bytesOf(await repository('docker.io/team/app').blobs.get(digest));
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    await expect(repository('docker.io/team/none').blobs.get(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    // A page that says 200 to everything.
    upstream.instead = (request, response) => {
      response.writeHead(200, { 'content-type': 'text/html' }).end(request.method === 'HEAD' ? undefined : '<html>');
      return true;
    };
    await expect(repository('docker.io/team/portal').blobs.get(digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('gets what somebody has pushed only when the upstream gives the bytes, whatever HEAD says', async () => {
    const { repository, downloads, hosted } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const secret = Buffer.from('a secret of the house');
    const hidden = digestOf(secret);
    const bytes = async function* () {
      yield secret;
    };
    await hosted.repository(repository('team/private').name).uploads.put(hidden, bytes());
    upstream.instead = (request, response, url) => {
      if (!url.pathname.startsWith('/v2/evil/')) return false;
      response.writeHead(200, { 'content-length': secret.length });
      response.end(request.method === 'HEAD' ? undefined : Buffer.alloc(secret.length));
      return true;
    };
    const stolen = repository('docker.io/evil/app').blobs.get(hidden);
    await expect(stolen.then((blob) => bytesOf(blob))).rejects.toThrow('other bytes');
    // Who has the bytes needs no secret, and those who come after him neither.
    upstream.push('team/honest', imageOf(secret));
    upstream.push('team/next', imageOf(secret));
    const honest = await bytesOf(await repository('docker.io/team/honest').blobs.get(hidden));
    expect(honest.equals(secret)).toBe(true);
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    upstream.requests.length = 0;
    await repository('docker.io/team/next').blobs.get(hidden);
    expect(upstream.requests).toEqual([`HEAD team/next/blobs/${hidden}`]);
  });

  test('that joins a download is linked, and hears nothing of what the first one was told', async () => {
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    upstream.instead = (request, response) => {
      if (request.url?.includes('/team/none/')) {
        void held.then(() => refused(response));
        return true;
      }
      return false;
    };
    const { repository, downloads, store } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const none = repository('docker.io/team/none').blobs.get(digest);
    none.catch(() => undefined);
    await vi.waitFor(() => expect(upstream.requests).toHaveLength(1));
    const both = ['docker.io/team/app', 'docker.io/team/other'];
    const found = Promise.all(both.map(async (name) => bytesOf(await repository(name).blobs.get(digest))));
    go();
    await expect(none).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    for (const bytes of await found) expect(bytes.equals(layer)).toBe(true);
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    for (const name of both) {
      const { blobs } = store.repository(repository(name).name);
      expect(await blobs.stat(digest)).toMatchObject({ size: layer.length });
    }
    expect(upstream.requests.filter((request) => /^GET team\/(app|other)/.test(request))).toHaveLength(1);
  });
});

describe('a storage that takes nothing', () => {
  test('does not keep the bytes from those who wait for them', async () => {
    const faulty = withFaults(createInMemoryDriver());
    for (const operation of ['put', 'writer'] as const) faulty.fail({ operation });
    const { repository } = await mirrorOver(faulty.driver, [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    for (let count = 0; count < 2; count += 1)
      expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
  });

  test('as slow as it may be, holds up nobody', async () => {
    const faulty = withFaults(createInMemoryDriver());
    const hold = faulty.hold({ operation: 'writer' });
    const { repository, downloads } = await mirrorOver(faulty.driver, [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
    await hold.reached;
    // Who comes while it is being stored is linked all the same.
    const other = await repository('docker.io/team/other').blobs.get(digest);
    expect((await bytesOf(other)).equals(layer)).toBe(true);
    hold.release();
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    upstream.requests.length = 0;
    await repository('docker.io/team/other').blobs.get(digest);
    expect(upstream.requests).toEqual([]);
  });
});

test('without a folder to gather it in, a blob goes from the upstream to the client', async () => {
  const { repository, faults } = await mirrorOver(createInMemoryDriver(), [upstream.url], { spool: '/dev/null/spool' });
  const found = await repository('docker.io/team/app').blobs.get(digest);
  expect((await bytesOf(found)).equals(layer)).toBe(true);
  expect((await bytesOf(found, { start: 7, end: 99 })).equals(layer.subarray(7, 100))).toBe(true);
  expect(faults).toMatchObject([{ reference: digest, error: { name: 'SpoolError' } }]);
});

describe('a blob that is larger than what is kept', () => {
  const settings = { maxSize: layer.length - 1 };

  test('goes from the upstream to each client', async () => {
    const { repository, faults, store } = await mirrorOver(createInMemoryDriver(), [upstream.url], settings);
    const { name, blobs } = repository('docker.io/team/app');
    for (let count = 0; count < 2; count += 1) {
      const found = await blobs.get(digest);
      expect(found.descriptor.size).toBe(layer.length);
      expect((await bytesOf(found)).equals(layer)).toBe(true);
    }
    await expect(store.repository(name).blobs.stat(digest)).rejects.toMatchObject({ code: 'BLOB_UNKNOWN' });
    // The first one to find out, and then one for each.
    expect(upstream.requests).toEqual([1, 2, 3].map(() => `GET team/app/blobs/${digest}`));
    expect(faults[0]).toMatchObject({ reference: digest, error: { name: 'TooLargeError', size: layer.length } });
  });

  test('is not given when nobody knows how large it is', async () => {
    upstream.instead = ({ method }, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.end(method === 'HEAD' ? undefined : layer);
      return true;
    };
    const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url], settings);
    const { blobs } = repository('docker.io/team/app');
    await expect(blobs.get(digest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    expect(downloads.running).toBe(0);
  });

  test('leaves those alone that are not', async () => {
    const { repository, downloads, store } = await mirrorOver(createInMemoryDriver(), [upstream.url], {
      maxSize: layer.length,
    });
    const { name, blobs } = repository('docker.io/team/app');
    await bytesOf(await blobs.get(digest));
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    expect(await store.repository(name).blobs.stat(digest)).toMatchObject({ size: layer.length });
  });
});

test('a disk that is full in the middle of a blob does not break it off', async () => {
  const { append } = GrowingFile.prototype;
  const full = vi.spyOn(GrowingFile.prototype, 'append').mockImplementation(async function (this: GrowingFile, chunk) {
    if (this.written > 300_000) throw new SpoolError('no space left on device');
    await append.call(this, chunk);
  });
  onTestFinished(() => full.mockRestore());
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  const found = await repository('docker.io/team/app').blobs.get(digest);
  expect((await bytesOf(found, { start: 1000, end: layer.length - 1 })).equals(layer.subarray(1000))).toBe(true);
});

describe('wrong bytes', () => {
  const wrong = Buffer.from(layer);
  wrong[0] = (wrong[0] ?? 0) ^ 1;

  test('of one endpoint are not asked for again where there is another one', async () => {
    const liar = await startUpstreamRegistry();
    liar.instead = (_, response) => {
      response.writeHead(200, { 'content-length': wrong.length }).end(wrong);
      return true;
    };
    const { repository } = await mirrorOver(createInMemoryDriver(), [liar.url, upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    await expect(blobs.get(digest).then((blob) => bytesOf(blob))).rejects.toThrow();
    expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
    expect(liar.requests).toHaveLength(1);
    await liar.close();
  });

  test('are not asked for either when nothing can be gathered any more', async () => {
    const liar = await startUpstreamRegistry();
    onTestFinished(() => liar.close());
    liar.instead = ({ method }, response) => {
      response.writeHead(200, { 'content-length': wrong.length }).end(method === 'HEAD' ? undefined : wrong);
      return true;
    };
    const { repository } = await mirrorOver(createInMemoryDriver(), [liar.url, upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    await expect(blobs.get(digest).then((blob) => bytesOf(blob))).rejects.toThrow();
    const full = vi.spyOn(GrowingFile, 'create').mockRejectedValue(new SpoolError('no space left on device'));
    onTestFinished(() => full.mockRestore());
    expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
    expect(full).toHaveBeenCalled();
  });

  test('that nobody has seen are an error that says when to come again', async () => {
    upstream.instead = (_, response) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' }).end(wrong);
      return true;
    };
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    await expect(repository('docker.io/team/app').blobs.get(digest)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      headers: { 'Retry-After': '5' },
    });
  });

  test('of all endpoints have the one asked first that sent them the longest ago, and are forgotten an hour after the first ones', async () => {
    const clock = vi.spyOn(performance, 'now');
    onTestFinished(() => clock.mockRestore());
    const liars = await Promise.all([startUpstreamRegistry(), startUpstreamRegistry()]);
    for (const liar of liars) {
      liar.instead = (_, response) => {
        response.writeHead(200, { 'content-length': wrong.length }).end(wrong);
        return true;
      };
    }
    const asked = () => liars.map(({ requests }) => requests.length);
    const { repository, downloads } = await mirrorOver(
      createInMemoryDriver(),
      liars.map(({ url }) => url),
    );
    const pull = async () => {
      const found = await repository('docker.io/team/app').blobs.get(digest);
      await expect(bytesOf(found)).rejects.toThrow();
      await vi.waitFor(() => expect(downloads.running).toBe(0));
      return asked();
    };
    expect(await pull()).toEqual([1, 0]);
    expect(await pull()).toEqual([1, 1]);
    expect(await pull()).toEqual([2, 1]);
    const passed = performance.now() + 3_000_000;
    clock.mockImplementation(() => passed);
    expect(await pull()).toEqual([2, 2]);
    clock.mockImplementation(() => passed + 700_000);
    // As if nothing had been: in their order.
    expect(await pull()).toEqual([3, 2]);
    expect(await pull()).toEqual([3, 3]);
    for (const liar of liars) await liar.close();
  });

  test('that nobody has seen yet are replaced by right ones', async () => {
    const small = Buffer.from('small');
    const liar = await startUpstreamRegistry();
    liar.instead = (_, response) => {
      response.writeHead(200, { 'content-length': small.length }).end('wrong');
      return true;
    };
    upstream.push('team/small', imageOf(small), 'latest');
    const { repository } = await mirrorOver(createInMemoryDriver(), [liar.url, upstream.url]);
    const found = await repository('docker.io/team/small').blobs.get(digestOf(small));
    expect((await bytesOf(found)).toString()).toBe('small');
    await liar.close();
  });
});

test('who leaves waits no longer, and leaves nothing that goes on', async () => {
  upstream.instead = () => true;
  const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  const aborter = new AbortController();
  const found = repository('docker.io/team/app').blobs.get(digest, aborter.signal);
  await vi.waitFor(() => expect(upstream.requests).toHaveLength(1));
  aborter.abort(new Error('the client has gone'));
  await expect(found).rejects.toThrow('the client has gone');
  expect(downloads.running).toBe(0);
});

test('of more blobs than may come at once the last ones wait, but not who only asks after one', async () => {
  const layers = Array.from({ length: 5 }, () => randomBytes(100_000));
  upstream.push('team/many', imageOf(...layers), 'latest');
  let open = 0;
  let most = 0;
  upstream.instead = ({ method }, response) => {
    if (method !== 'GET') return false;
    open += 1;
    most = Math.max(most, open);
    response.once('finish', () => {
      open -= 1;
    });
    const { end } = response;
    response.end = ((...all: Parameters<typeof end>) => {
      void delay(50).then(() => end.apply(response, all));
      return response;
    }) as typeof end;
    return false;
  };
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url], { maxDownloads: 2 });
  const { blobs } = repository('docker.io/team/many');
  const all = Promise.all(layers.map(async (bytes) => bytesOf(await blobs.get(digestOf(bytes)))));
  expect(await repository('docker.io/team/app').blobs.stat(digest)).toMatchObject({ size: layer.length });
  for (const [index, bytes] of (await all).entries()) expect(layers[index]?.equals(bytes)).toBe(true);
  expect(most).toBe(2);
});

test('what is opened late is read from where it is by then', async () => {
  const { repository, downloads } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  const found = await repository('docker.io/team/app').blobs.get(digest);
  await vi.waitFor(() => expect(downloads.running).toBe(0));
  expect((await bytesOf(found)).equals(layer)).toBe(true);
  expect((await bytesOf(found, { start: 1, end: 2 })).equals(layer.subarray(1, 3))).toBe(true);
  expect(upstream.requests).toHaveLength(1);
});

test('a client is sent to the storage for what is there, and gets the rest here', async () => {
  const sent = 'https://bucket.example/layer';
  const driver: StorageDriver = { ...createInMemoryDriver(), redirectUrl: async () => sent };
  const { repository: other, downloads, shared } = await mirrorOver(driver, [upstream.url]);
  const coming = await other('docker.io/team/app').blobs.get(digest);
  expect(await coming.redirectUrl()).toBeUndefined();
  await vi.waitFor(() => expect(downloads.running).toBe(0));
  const { repository } = await mirrorOver(driver, [upstream.url], { mirror: { marks: shared } });
  const { blobs } = repository('docker.io/team/app');
  expect(await (await blobs.get(digest)).redirectUrl()).toBe(sent);

  // The other one evicts it, but not the link that it does not know yet.
  await driver.delete(layout.blobData(digest));
  const later = performance.now() + 10_001;
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => later);
  onTestFinished(() => clock.mockRestore());
  await delay(5);
  const found = await blobs.get(digest);
  expect(await found.redirectUrl()).toBeUndefined();
  expect((await bytesOf(found)).equals(layer)).toBe(true);
});

test('what another process has evicted, but not a link that it did not know yet, comes again', async () => {
  const small = Buffer.from('small');
  for (const name of ['team/small', 'team/linked']) upstream.push(name, imageOf(small), 'latest');
  const driver = createInMemoryDriver();
  const { repository: other, downloads, shared } = await mirrorOver(driver, [upstream.url]);
  await bytesOf(await other('docker.io/team/small').blobs.get(digestOf(small)));
  await vi.waitFor(() => expect(downloads.running).toBe(0));
  const { repository } = await mirrorOver(driver, [upstream.url], { mirror: { marks: shared } });
  const { blobs } = repository('docker.io/team/linked');
  await blobs.get(digestOf(small));
  await driver.delete(layout.blobData(digestOf(small)));
  expect((await bytesOf(await blobs.get(digestOf(small)))).equals(small)).toBe(true);
});

describe('a storage', () => {
  test('that takes nothing does not keep from a client what another repository has', async () => {
    const { driver, fail } = withFaults(createInMemoryDriver());
    const { repository, downloads, faults } = await mirrorOver(driver, [upstream.url]);
    await bytesOf(await repository('docker.io/team/app').blobs.get(digest));
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    fail({ operation: 'put' });
    const { blobs } = repository('docker.io/team/other');
    expect((await bytesOf(await blobs.get(digest))).equals(layer)).toBe(true);
    expect((await bytesOf(await blobs.get(digest), { start: 7, end: 9 })).equals(layer.subarray(7, 10))).toBe(true);
    expect(faults.map(({ repository }) => repository)).toEqual(['docker.io/team/other', 'docker.io/team/other']);
  });

  test('that loses a blob while it is read does not break that off', async () => {
    const { driver, fail } = withFaults(createInMemoryDriver());
    const { repository, downloads } = await mirrorOver(driver, [upstream.url]);
    const { blobs } = repository('docker.io/team/app');
    await bytesOf(await blobs.get(digest));
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    const reader = (await (await blobs.get(digest)).open({ start: 10, end: layer.length - 1 }))[Symbol.asyncIterator]();
    const chunks = [Buffer.from((await reader.next()).value ?? '')];
    fail({ operation: 'read' });
    for (let next = await reader.next(); next.done !== true; next = await reader.next()) {
      chunks.push(Buffer.from(next.value));
    }
    expect(Buffer.concat(chunks).equals(layer.subarray(10))).toBe(true);
  });
});
