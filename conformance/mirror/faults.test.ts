import { randomBytes } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, onTestFinished, test } from 'vitest';
import { type Artifact, imageOf, noiseImage } from '../clients/raw/artifact.ts';
import { createRegistryClient, type RegistryClient } from '../clients/raw/registry-client.ts';
import { blob, type Content, manifest, mediaTypes } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { type Server, startBerth } from '../harness/server.ts';
import { type Kept, readKept } from './kept.ts';
import { type Liar, type Lie, sendContent, startLiar, truth } from './liar.ts';

/*
 * A whole mirror before an upstream that lies, fails and stalls: what clients get, what is kept, and that they get what is
 * right as soon as the upstream tells the truth again.
 */

interface Scene {
  readonly upstream: Liar;
  readonly mirror: Server;
  readonly client: RegistryClient;
  /** The upstream has it under `v1`. */
  readonly image: Artifact;
  /** Of the image; long enough to come in several pieces, and for its begin to be seen before its end. */
  readonly layer: Content;
  manifest(reference?: string): Promise<Reply>;
  /** @throws when the mirror breaks it off */
  blob(digest?: string): Promise<Reply>;
  /** What is in the storage when nothing is under way any more. @throws Error when anything in it is wrong */
  kept(): Promise<Kept>;
  /** From now on the upstream tells the truth; resolves when clients get all of the image. */
  recover(): Promise<void>;
}

const repository = 'upstream.example/team/app';
/** Long enough for an honest answer on a machine that does something else. */
const impatient = { timeouts: { connect: '5s', answer: '1s', idle: '1s' }, patience: '200ms' };

/** @param upstreamSettings beside those that make each pull of a tag ask the upstream */
async function stage(upstreamSettings: object = {}): Promise<Scene> {
  const upstream = await startLiar();
  onTestFinished(() => upstream.close());
  const layer = blob(randomBytes(2 * 1024 * 1024));
  const image = imageOf([layer]);
  upstream.add(image, 'v1');
  const mirror = await startBerth({
    storage: 'filesystem',
    config: {
      mirror: {
        upstreams: [{ name: 'upstream.example', endpoints: [upstream.url], revalidate: '0s', ...upstreamSettings }],
      },
    },
  });
  onTestFinished(() => mirror.stop());
  const client = createRegistryClient(mirror.url);
  onTestFinished(() => client.close());

  const scene: Scene = {
    upstream,
    mirror,
    client,
    image,
    layer,
    manifest: (reference = 'v1') => client.getManifest(repository, reference),
    blob: (digest = layer.digest) => client.getBlob(repository, digest),
    async kept() {
      for (let tries = 0; ; tries += 1) {
        try {
          return await readKept(mirror.dataDir);
        } catch (error) {
          // What a client has left is cleaned up behind it.
          if (tries === 50) throw error;
          await delay(100);
        }
      }
    },
    async recover() {
      upstream.lie = undefined;
      const untilRight = async (get: () => Promise<Reply>, bytes: Buffer) => {
        const seen = async () => {
          const reply = await get();
          // What is not 200 may be said for some time yet; wrong bytes never.
          if (reply.status === 200) expect(reply.body.equals(bytes)).toBe(true);
          return [reply.status, reply.header('warning')];
        };
        await expect.poll(seen, { timeout: 30_000, interval: 100 }).toEqual([200, undefined]);
      };
      await untilRight(scene.manifest, image.manifest.bytes);
      for (const { digest, bytes } of image.blobs) await untilRight(() => scene.blob(digest), bytes);
      const blobs = [image.manifest, ...image.blobs].map(({ digest }) => digest).sort();
      // A client has its last bytes before the storage has.
      await expect.poll(scene.kept, { timeout: 10_000 }).toEqual({ blobs, tags: { v1: image.manifest.digest } });
    },
  };
  return scene;
}

const nothing: Kept = { blobs: [], tags: {} };
const isManifest = (path: string) => path.includes('/manifests/');
const isBlob = (path: string) => path.includes('/blobs/');
/** Lies about manifests, about blobs, or about both. */
const about =
  (isIt: (path: string) => boolean, lie: Lie): Lie =>
  (request, response, path) =>
    isIt(path) ? lie(request, response, path) : truth;
const refuse =
  (status: number, headers: Record<string, string> = {}): Lie =>
  (_, response) =>
    response
      .writeHead(status, { 'content-type': 'application/json', ...headers })
      .end(JSON.stringify({ errors: [{ code: 'UNKNOWN', message: 'not today' }] }));
const portal: Lie = (_, response) =>
  response.writeHead(200, { 'content-type': 'text/html' }).end('<html>Accept our terms to go on</html>');

/** That a client is told to come again. @param said a part of the message */
function expectUnavailable(reply: Reply, said: string | RegExp): void {
  expect(reply.status, String(reply)).toBe(503);
  expect(Number(reply.header('retry-after'))).toBeGreaterThan(0);
  const { errors } = reply.json() as { errors: { code: string; message: string }[] };
  expect(errors[0]?.code).toBe('UNAVAILABLE');
  expect(errors[0]?.message).toMatch(said);
}

/** That a client gets what is kept, and is told so. */
function expectStale(reply: Reply, image: Artifact): void {
  expect(reply.status, String(reply)).toBe(200);
  expect(reply.header('warning')).toMatch(/^110 berth "upstream\.example could not be asked/);
  expect(reply.body.equals(image.manifest.bytes)).toBe(true);
}

/** That a client is not left with something that looks whole: an error, or a body that breaks off. */
async function expectNoBlob(blobOf: () => Promise<Reply>): Promise<void> {
  const status = await blobOf().then(
    ({ status }) => status,
    () => 'broken off',
  );
  expect([503, 'broken off']).toContain(status);
}

describe('429', () => {
  test('without a kept tag is passed on, and the upstream is left alone for as long as it wants', async () => {
    const { upstream, manifest, blob, kept, recover } = await stage();
    upstream.lie = refuse(429, { 'retry-after': '3' });
    const begun = Date.now();
    const reply = await manifest();
    expect(reply.status).toBe(429);
    expect(reply.text).toContain('TOOMANYREQUESTS');
    expect(['1', '2', '3']).toContain(reply.header('retry-after'));
    expect(upstream.asked).toHaveLength(1);
    upstream.lie = undefined;
    for (const again of [await manifest(), await blob(), await manifest('other')]) {
      // A machine that is very slow must not fail it.
      if (Date.now() - begun > 2_000) break;
      expect(again.status).toBe(429);
      expect(upstream.asked).toHaveLength(1);
    }
    expect(await kept()).toEqual(nothing);
    await recover();
    expect(Date.now() - begun).toBeGreaterThanOrEqual(3_000);
  });

  test('with a kept tag is not noticed but for a warning', async () => {
    const { upstream, manifest, image, recover } = await stage();
    await recover();
    upstream.lie = refuse(429, { 'retry-after': '3' });
    upstream.asked.length = 0;
    const begun = Date.now();
    expectStale(await manifest(), image);
    for (let count = 0; count < 5 && Date.now() - begun < 2_000; count += 1) {
      expectStale(await manifest(), image);
      expect(upstream.asked).toHaveLength(1);
    }
    upstream.lie = undefined;
    await expect.poll(async () => (await manifest()).header('warning'), { timeout: 30_000 }).toBeUndefined();
    expect(Date.now() - begun).toBeGreaterThanOrEqual(3_000);
    await recover();
  });
});

describe('an upstream that fails', () => {
  test('with 500 is asked a few times, then left alone; what is kept is served', async () => {
    const { upstream, manifest, blob, image, kept, recover } = await stage();
    upstream.lie = refuse(500);
    expectUnavailable(await blob(), 'cannot be asked now: not today');
    expectUnavailable(await manifest(), 'cannot be asked now');
    expect(await kept()).toEqual(nothing);
    await recover();
    upstream.lie = refuse(502);
    upstream.asked.length = 0;
    for (let count = 0; count < 20; count += 1) expectStale(await manifest(), image);
    // Five failures open the breaker; then a probe now and then.
    expect(upstream.asked.length).toBeLessThan(15);
    await recover();
  });

  test('by answering nothing costs no more than the time-out, and with a kept tag no more than patience', async () => {
    const { upstream, manifest, blob, image, kept, recover } = await stage(impatient);
    const silent: Lie = () => undefined;
    upstream.lie = silent;
    const begun = performance.now();
    for (const reply of await Promise.all([manifest(), blob()])) expectUnavailable(reply, /cannot be asked now/);
    expect(performance.now() - begun).toBeGreaterThan(900);
    expect(await kept()).toEqual(nothing);
    await recover();
    upstream.lie = silent;
    expectStale(await manifest(), image);
    await recover();
  });

  test('by falling silent in the middle is asked for the rest', async () => {
    const { upstream, manifest, blob, layer, kept, recover } = await stage(impatient);
    // Half of it with the first answer; from the second on all that is asked for.
    upstream.lie = about(isBlob, (request, response) => {
      if (request.headers.range !== undefined) return truth;
      response.writeHead(200, { 'content-length': layer.bytes.length });
      return response.write(layer.bytes.subarray(0, 1024 * 1024));
    });
    const reply = await blob();
    expect(reply.body.equals(layer.bytes)).toBe(true);
    expect(upstream.asked.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=1048576-']);
    expect(await kept()).toMatchObject({ blobs: [layer.digest] });

    upstream.lie = about(isManifest, (request, response) => {
      if (request.method === 'HEAD') return truth;
      response.writeHead(200, { 'content-type': mediaTypes.image, 'content-length': 400 });
      return response.write('{"schemaVersion": 2,');
    });
    expectUnavailable(await manifest(), /cannot be asked now/);
    expect((await kept()).tags).toEqual({});
    await recover();
  });

  test('by falling silent again and again gives no blob, and is asked for the whole of it later', async () => {
    const { upstream, blob, layer, kept, recover } = await stage({
      ...impatient,
      timeouts: { ...impatient.timeouts, idle: '300ms' },
    });
    upstream.lie = about(isBlob, (request, response) => {
      const start = Number(/=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0);
      const range = `bytes ${start}-${layer.bytes.length - 1}/${layer.bytes.length}`;
      response.writeHead(start === 0 ? 200 : 206, {
        'content-length': layer.bytes.length - start,
        ...(start > 0 && { 'content-range': range }),
      });
      return start === 0 ? response.write(layer.bytes.subarray(0, 1000)) : response.flushHeaders();
    });
    await expect(blob()).rejects.toThrow();
    expect(upstream.asked.length).toBeGreaterThan(2);
    expect(await kept()).toEqual(nothing);
    await recover();
  });
});

describe('an answer that is cut short', () => {
  const cut =
    (layer: Content, knowsRanges: boolean, pieces: number): Lie =>
    (request, response, path) => {
      if (!isBlob(path) || request.method === 'HEAD') return truth;
      const size = layer.bytes.length;
      const start = knowsRanges ? Number(/=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0) : 0;
      // Without ranges it gets further each time.
      const end = knowsRanges ? start + size / pieces : (pieces++ * size) / 4;
      const range = `bytes ${start}-${size - 1}/${size}`;
      response.writeHead(start === 0 ? 200 : 206, {
        'content-length': size - start,
        ...(start > 0 && { 'content-range': range }),
      });
      if (end >= size) return response.end(layer.bytes.subarray(start));
      return response.write(layer.bytes.subarray(start, end), () => setTimeout(() => response.destroy(), 50));
    };

  test('goes on where it ended', async () => {
    const { upstream, blob, layer, recover } = await stage();
    upstream.lie = cut(layer, true, 4);
    expect((await blob()).body.equals(layer.bytes)).toBe(true);
    const quarter = layer.bytes.length / 4;
    const ranges = [undefined, `bytes=${quarter}-`, `bytes=${2 * quarter}-`, `bytes=${3 * quarter}-`];
    expect(upstream.asked.map(({ headers }) => headers.range)).toEqual(ranges);
    await recover();
  });

  test('of an upstream that knows no ranges begins again, and no byte comes twice', async () => {
    const { upstream, blob, layer, recover } = await stage();
    upstream.lie = cut(layer, false, 1);
    expect((await blob()).body.equals(layer.bytes)).toBe(true);
    expect(upstream.asked).toHaveLength(4);
    await recover();
  });

  test('is no manifest', async () => {
    const { upstream, manifest, image, kept, recover } = await stage();
    upstream.lie = about(isManifest, (request, response) => {
      if (request.method === 'HEAD') return truth;
      const { bytes, mediaType } = image.manifest;
      response.writeHead(200, { 'content-type': mediaType, 'content-length': bytes.length });
      return response.write(bytes.subarray(0, 100), () => setTimeout(() => response.destroy(), 50));
    });
    expectUnavailable(await manifest(), /cannot be asked now/);
    expect(await kept()).toEqual(nothing);
    await recover();
  });
});

describe('a blob that is another one', () => {
  const other = (bytes: Buffer) => {
    const changed = Buffer.from(bytes);
    changed[1000] = (changed[1000] ?? 0) ^ 1;
    return changed;
  };
  const cases: [what: string, lie: (layer: Content) => Lie][] = [
    [
      'by one byte',
      (layer) => (request, response) => sendContent(request, response, { ...layer, bytes: other(layer.bytes) }),
    ],
    [
      'as it is announced too short',
      (layer) => (_, response) => {
        response.socket?.write(`HTTP/1.1 200 OK\r\nContent-Length: ${layer.bytes.length - 1000}\r\n\r\n`);
        response.socket?.write(layer.bytes);
      },
    ],
    [
      'as it is announced too long',
      (layer) => (request, response) =>
        request.headers.range === undefined
          ? response
              .writeHead(200, { 'content-length': layer.bytes.length + 1000 })
              .write(layer.bytes, () => setTimeout(() => response.destroy(), 50))
          : truth,
    ],
    [
      'as it is shorter than its first answer said',
      (layer) => (request, response) => {
        const start = Number(/=(\d+)/.exec(request.headers.range ?? '')?.[1] ?? 0);
        if (start > 0) return sendContent(request, response, { ...layer, bytes: layer.bytes.subarray(0, -1) });
        response.writeHead(200, { 'content-length': layer.bytes.length });
        return response.write(layer.bytes.subarray(0, 5000), () => setTimeout(() => response.destroy(), 50));
      },
    ],
    ['as it is a page of a portal', () => portal],
  ];
  test.each(cases)('%s is given to nobody as if it were whole, and not kept', async (_, lie) => {
    const { upstream, blob, layer, kept, recover } = await stage();
    upstream.lie = about(isBlob, lie(layer));
    for (let count = 0; count < 2; count += 1) await expectNoBlob(blob);
    expect(await kept()).toEqual(nothing);
    await recover();
  });
});

describe('a manifest', () => {
  const two = noiseImage('another image');
  type ManifestLie = (request: IncomingMessage, response: ServerResponse, image: Artifact) => unknown;
  const cases: [what: string, said: string | RegExp, lie: ManifestLie][] = [
    ['that is a page of a portal', 'no manifest, but text/html', (request, response) => portal(request, response, '')],
    [
      'whose bytes have not the digest that it says',
      'digest',
      (request, response, { manifest }) => sendContent(request, response, { ...two.manifest, digest: manifest.digest }),
    ],
    [
      'of another type than it says',
      'Content-Type',
      (request, response, { manifest }) => sendContent(request, response, { ...manifest, mediaType: mediaTypes.index }),
    ],
    [
      'that is announced too short',
      'digest',
      (request, response, { manifest: { bytes, digest, mediaType } }) => {
        if (request.method === 'HEAD') return truth;
        const head = `Content-Type: ${mediaType}\r\nDocker-Content-Digest: ${digest}`;
        response.socket?.write(`HTTP/1.1 200 OK\r\n${head}\r\nContent-Length: ${bytes.length - 10}\r\n\r\n`);
        return response.socket?.write(bytes);
      },
    ],
    [
      'behind a redirect to itself',
      'redirects',
      (request, response) => response.writeHead(307, { location: request.url ?? '' }).end(),
    ],
    [
      'that is compressed without being asked',
      'encoded',
      (request, response, { manifest }) => sendContent(request, response, manifest, { 'content-encoding': 'gzip' }),
    ],
  ];
  test.each(cases)('%s is an error that says so, by tag and by digest, and a kept tag stays', async (_, said, lie) => {
    const { upstream, manifest, image, kept, recover } = await stage();
    const lies: Lie = about(isManifest, (request, response) => lie(request, response, image));
    upstream.lie = lies;
    expectUnavailable(await manifest(), said);
    expectUnavailable(await manifest(image.manifest.digest), said);
    expect(await kept()).toEqual(nothing);
    await recover();
    upstream.lie = (request, response, path) =>
      request.method === 'HEAD' ? portal(request, response, path) : lies(request, response, path);
    expectStale(await manifest(), image);
    await recover();
  });

  test('of a digest that is asked for is taken with no other digest', async () => {
    const { upstream, manifest, image, kept, recover } = await stage();
    // Honest about what it sends; only that nobody asked for it.
    upstream.lie = about(isManifest, (request, response) => sendContent(request, response, two.manifest));
    expectUnavailable(await manifest(image.manifest.digest), 'digest');
    expect(await kept()).toEqual(nothing);
    await recover();
  });

  test('of a tag that moves between HEAD and GET is what GET says', async () => {
    const { upstream, manifest, image, kept } = await stage();
    upstream.lie = about(isManifest, (request, response) =>
      request.method === 'HEAD' ? truth : sendContent(request, response, two.manifest),
    );
    const reply = await manifest();
    expect([reply.status, reply.header('docker-content-digest')]).toEqual([200, two.manifest.digest]);
    expect(reply.body.equals(two.manifest.bytes)).toBe(true);
    expect(await kept()).toEqual({ blobs: [two.manifest.digest], tags: { v1: two.manifest.digest } });
    // And back again.
    upstream.lie = undefined;
    expect((await manifest()).header('docker-content-digest')).toBe(image.manifest.digest);
    expect((await kept()).tags).toEqual({ v1: image.manifest.digest });
  });

  test.each([
    ['announced', true],
    ['not announced', false],
  ])('of 5 MiB is not taken, its length being %s, and takes no memory', async (_, announced) => {
    const { upstream, mirror, manifest, kept, recover } = await stage();
    await recover();
    const before = await kept();
    const large = largeManifest(5 * 1024 * 1024);
    upstream.lie = about(isManifest, (request, response) => {
      if (announced) return sendContent(request, response, large);
      // Without a length HEAD does not say enough, and GET is asked.
      response.writeHead(200, { 'content-type': large.mediaType, 'docker-content-digest': large.digest });
      return response.end(request.method === 'HEAD' ? undefined : large.bytes);
    });
    const peak = await peakMemory(mirror);
    for (let count = 0; count < 10; count += 1) {
      expectUnavailable(await manifest('other'), '4194304');
      expectUnavailable(await manifest(large.digest), '4194304');
    }
    expect((await peakMemory(mirror)) - peak).toBeLessThan(100 * 1024 * 1024);
    expect(await kept()).toEqual(before);
    await recover();
  });
});

describe('a login', () => {
  const account = { username: 'robot', password: 'do-not-tell' };
  const challenge = (response: ServerResponse, realm: string) =>
    response.writeHead(401, { 'www-authenticate': `Bearer realm="${realm}",service="upstream"` }).end();

  test('at a token server that is down stops nothing that is kept, and nothing else for long', async () => {
    const { upstream, manifest, blob, image, kept, recover } = await stage(account);
    const tokens = await startLiar();
    let isOpen = true;
    const close = async () => {
      if (isOpen) await tokens.close();
      isOpen = false;
    };
    onTestFinished(close);
    tokens.lie = refuse(503);
    const asks: Lie = (_, response) => challenge(response, `${tokens.url}/token`);
    upstream.lie = asks;
    expectUnavailable(await manifest(), 'not today');
    expectUnavailable(await blob(), 'not today');
    expect(await kept()).toEqual(nothing);
    await recover();
    upstream.lie = asks;
    tokens.lie = portal;
    expectStale(await manifest(), image);
    await close();
    expectStale(await manifest(), image);
    await recover();
  });

  test('is not taken to a realm on a foreign host', async () => {
    const { upstream, mirror, manifest, blob, image, kept, recover } = await stage(account);
    const thief = await startLiar();
    onTestFinished(() => thief.close());
    const foreign: Lie = (_, response) => challenge(response, `http://localhost:${thief.port}/token`);
    upstream.lie = foreign;
    expectUnavailable(await manifest(), 'realm');
    expectUnavailable(await blob(), 'realm');
    expect(await kept()).toEqual(nothing);
    await recover();
    upstream.lie = foreign;
    expectStale(await manifest(), image);
    expect(thief.asked).toEqual([]);
    expect(mirror.logs()).not.toContain(account.password);
    await recover();
  });

  test('stays behind where a redirect leads to another server', async () => {
    const { upstream, blob, layer, recover } = await stage(account);
    const store = await startLiar();
    onTestFinished(() => store.close());
    store.lie = (request, response) => sendContent(request, response, layer);
    upstream.lie = (request, response) =>
      request.headers.authorization === undefined
        ? response.writeHead(401, { 'www-authenticate': 'Basic realm="upstream"' }).end()
        : response.writeHead(307, { location: `${store.url}/layer?signature=1` }).end();
    expect((await blob()).body.equals(layer.bytes)).toBe(true);
    expect(store.asked.map(({ headers }) => headers.authorization)).toEqual([undefined]);
    await recover();
  });
});

test('a blob behind a redirect without an end is an error that says so', async () => {
  const { upstream, blob, kept, recover } = await stage();
  upstream.lie = about(isBlob, (_, response) =>
    response.writeHead(302, { location: `${upstream.url}/v2/blobs/${upstream.asked.length}` }).end(),
  );
  expectUnavailable(await blob(), 'redirects');
  expect(upstream.asked.length).toBeLessThan(10);
  expect(await kept()).toEqual(nothing);
  await recover();
});

/** A manifest, but for its length. */
function largeManifest(size: number): Content {
  const annotations = { padding: 'x'.repeat(size) };
  return manifest({ schemaVersion: 2, mediaType: mediaTypes.image, annotations }, mediaTypes.image);
}

/** In bytes. */
async function peakMemory({ pid }: Server): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8');
  return Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1]) * 1024;
}
