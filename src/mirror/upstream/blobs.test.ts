import { randomBytes } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer, type Socket } from 'node:net';
import { gzipSync } from 'node:zlib';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../oci/digest.ts';
import type { UpstreamClient } from './client.ts';
import {
  bytesOf,
  clientOf,
  impatient,
  type LyingUpstream,
  repository,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

const content = randomBytes(1024 * 1024);
const digest = digestOf(content);

let upstream: LyingUpstream;
let client: UpstreamClient;

beforeAll(async () => {
  upstream = await startLyingUpstream();
});
beforeEach(() => {
  client = clientOf([upstream]);
  return () => client.close();
});
afterAll(() => upstream.close());

const open = (start = 0, signal?: AbortSignal) => client.openBlob(repository, digest, { start }, signal);
const range = (start: number, end = content.length - 1, size: number | string = content.length) =>
  `bytes ${start}-${end}/${size}`;

function sendPart(response: ServerResponse, start: number, contentRange = range(start)): void {
  const part = content.subarray(start);
  response.writeHead(206, { 'content-range': contentRange, 'content-length': part.length }).end(part);
}

describe('a blob', () => {
  it('comes with its size', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
    const blob = await open();
    expect(blob).toMatchObject({ endpoint: upstream.url, size: content.length, start: 0 });
    expect((await bytesOf(blob.body)).equals(content)).toBe(true);
    const { target, headers } = upstream.requests.at(-1) ?? {};
    expect(target).toBe(`/v2/library/app/blobs/${digest}`);
    expect(headers).not.toHaveProperty('range');
    expect(headers).toHaveProperty('accept-encoding', 'identity');
  });

  it('may come without its size', async () => {
    upstream.handler = (_, response) => response.writeHead(200).end(content);
    const blob = await open();
    expect(blob.size).toBeUndefined();
    expect((await bytesOf(blob.body)).equals(content)).toBe(true);
  });

  it('may be empty', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'content-length': 0 }).end();
    const blob = await open();
    expect(blob.size).toBe(0);
    expect(await bytesOf(blob.body)).toHaveLength(0);
  });

  it('is not read faster than it is used', async () => {
    const large = 64 * 1024 * 1024;
    let sent = 0;
    upstream.handler = (_, response) => {
      response.writeHead(200, { 'content-length': large });
      const piece = Buffer.alloc(256 * 1024);
      const more = () => {
        while (sent < large) {
          sent += piece.length;
          if (!response.write(piece)) return;
        }
        response.end();
      };
      response.on('drain', more);
      more();
    };
    const hasty = clientOf([upstream], { timeouts: { ...impatient, head: 10_000 } });
    const blob = await hasty.openBlob(repository, digest);
    const body = blob.body[Symbol.asyncIterator]();
    await body.next();
    // Longer than an idle time-out: who reads slowly is not punished.
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(sent).toBeLessThan(large / 2);
    let count = 0;
    for (let next = await body.next(); !next.done; next = await body.next()) count += next.value.length;
    expect(count).toBeGreaterThan(large / 2);
    expect(sent).toBe(large);
    await hasty.close();
  });

  it('takes its connection with it when nobody reads it to its end', async () => {
    let closed: Promise<unknown> = Promise.resolve();
    upstream.handler = (_, response) => {
      closed = new Promise((resolve) => response.once('close', resolve));
      response.writeHead(200, { 'content-length': content.length * 2 }).write(content);
    };
    (await open()).close();
    await closed;
    const left = await open();
    for await (const _ of left.body) break;
    await closed;
    const closedWhileRead = await open();
    setTimeout(() => closedWhileRead.close(), 20);
    expect((await bytesOf(closedWhileRead.body)).length).toBeLessThanOrEqual(content.length);
    await closed;
  });

  it('ends with the reason of its signal', async () => {
    upstream.handler = (_, response) =>
      response.writeHead(200, { 'content-length': content.length * 2 }).write(content);
    const controller = new AbortController();
    const blob = await open(0, controller.signal);
    const reason = new Error('enough');
    setTimeout(() => controller.abort(reason), 20);
    await expect(bytesOf(blob.body)).rejects.toBe(reason);
  });

  it('that stalls is unreachable, however much came before', async () => {
    upstream.handler = (_, response) =>
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 1000));
    const hasty = clientOf([upstream], { timeouts: { ...impatient, head: 10_000 } });
    const blob = await hasty.openBlob(repository, digest);
    await expect(bytesOf(blob.body)).rejects.toMatchObject({
      kind: 'unreachable',
      message: expect.stringContaining('silent for 200 ms'),
    });
    await hasty.close();
  });

  it('that is compressed though nobody asked is refused', async () => {
    upstream.handler = (_, response) => {
      const body = gzipSync(content);
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': body.length }).end(body);
    };
    await expect(open()).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('that is not there is missing', async () => {
    upstream.handler = (_, response) => response.writeHead(404).end();
    await expect(open()).rejects.toMatchObject({ kind: 'missing', status: 404 });
  });
});

describe('the rest of a blob', () => {
  it('comes by a range', async () => {
    upstream.handler = (_, response) => sendPart(response, 1000);
    const blob = await open(1000);
    expect(blob).toMatchObject({ start: 1000, size: content.length });
    expect((await bytesOf(blob.body)).equals(content.subarray(1000))).toBe(true);
    expect(upstream.requests.at(-1)?.headers.range).toBe('bytes=1000-');
  });

  it('is the whole again where ranges are not known', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'content-length': content.length }).end(content);
    const blob = await open(1000);
    expect(blob).toMatchObject({ start: 0, size: content.length });
    expect((await bytesOf(blob.body)).equals(content)).toBe(true);
  });

  it('is nothing when all is there', async () => {
    upstream.handler = (_, response) =>
      response.writeHead(416, { 'content-range': `bytes */${content.length}` }).end('no such range');
    const blob = await open(content.length);
    expect(blob).toMatchObject({ start: content.length, size: content.length });
    expect(await bytesOf(blob.body)).toHaveLength(0);
    blob.close();
  });

  it.each([undefined, 'bytes */10', 'nonsense'])(
    'is the whole again where a range cannot be had: %s',
    async (header) => {
      upstream.handler = (request, response) => {
        if (request.headers.range === undefined) response.writeHead(200).end(content);
        else response.writeHead(416, header === undefined ? {} : { 'content-range': header }).end();
      };
      const blob = await open(1000);
      expect(blob.start).toBe(0);
      expect(await bytesOf(blob.body)).toHaveLength(content.length);
    },
  );

  it.each([
    ['starts elsewhere', range(999)],
    ['ends too early', range(1000, 2000)],
    ['has no end', range(1000, content.length - 1, '*')],
    ['is of something larger', range(1000, content.length - 1, content.length + 5)],
    ['is not said', ''],
    ['is nonsense', 'bytes x'],
  ])('is refused when it %s', async (_, header) => {
    upstream.handler = (_, response) => sendPart(response, 1000, header);
    await expect(open(1000)).rejects.toMatchObject({ kind: 'invalid', status: 206 });
  });

  it('is refused when nobody asked for a part', async () => {
    upstream.handler = (_, response) => sendPart(response, 0);
    await expect(open()).rejects.toMatchObject({ kind: 'invalid', status: 206 });
  });

  it('is refused when it is shorter or longer than its range', async () => {
    const send = (part: Buffer) => {
      upstream.handler = (_, response) => response.writeHead(206, { 'content-range': range(1000) }).end(part);
    };
    send(content.subarray(1001));
    await expect(bytesOf((await open(1000)).body)).rejects.toMatchObject({ kind: 'invalid' });
    send(Buffer.concat([content.subarray(1000), Buffer.from('x')]));
    await expect(bytesOf((await open(1000)).body)).rejects.toMatchObject({ kind: 'invalid' });
    upstream.handler = (_, response) => {
      response.writeHead(206, { 'content-range': range(1000), 'content-length': 5 }).end('12345');
    };
    await expect(open(1000)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('comes after the connection broke in the middle', async () => {
    upstream.handler = (request, response) => {
      const start = Number(/\d+/.exec(request.headers.range ?? '0')?.[0]);
      if (start > 0) return sendPart(response, start);
      response.writeHead(200, { 'content-length': content.length }).write(content.subarray(0, 300_000));
      setTimeout(() => response.destroy(), 20);
    };
    const chunks: Buffer[] = [];
    const read = async (start: number) => {
      for await (const chunk of (await open(start)).body) chunks.push(Buffer.from(chunk));
    };
    await expect(read(0)).rejects.toMatchObject({ kind: 'unreachable', status: 200 });
    await read(Buffer.concat(chunks).length);
    expect(digestOf(Buffer.concat(chunks))).toBe(digest);
  });
});

describe('a Content-Length that is wrong', () => {
  let raw = '';
  let end = true;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('data', () => (end ? socket.end(raw) : socket.write(raw)));
  });
  let rawClient: UpstreamClient;

  beforeAll(async () => {
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = address !== null && typeof address === 'object' ? address.port : 0;
    rawClient = clientOf([{ url: `http://127.0.0.1:${port}` }]);
  });
  afterAll(async () => {
    await rawClient.close();
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  const read = async () => bytesOf((await rawClient.openBlob(repository, digest)).body);

  it('and too large is a body that breaks off', async () => {
    raw = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n12345';
    end = true;
    await expect(read()).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('and too small gives what was announced; what comes behind is no answer to anybody', async () => {
    raw = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n12345HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad';
    end = false;
    for (let count = 0; count < 5; count++) expect((await read()).toString()).toBe('12345');
  });

  it('and twice there is no answer', async () => {
    raw = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n123456';
    end = true;
    await expect(read()).rejects.toMatchObject({ kind: 'unreachable' });
  });

  it('beside chunks there is no answer', async () => {
    raw = 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n';
    await expect(read()).rejects.toMatchObject({ name: 'UpstreamError' });
  });

  it('in chunks that never end is a body that breaks off', async () => {
    raw = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n';
    await expect(read()).rejects.toMatchObject({ kind: 'unreachable' });
  });
});

describe('how long a blob is', () => {
  const size = () => client.headBlob(repository, digest);

  it('is asked by HEAD', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'content-length': content.length }).end();
    expect(await size()).toBe(content.length);
    expect(upstream.requests.at(-1)?.method).toBe('HEAD');
  });

  it.each([
    ['that does not know HEAD', 405],
    ['that sends us where only GET is allowed', 403],
    ['that does not say it to HEAD', 200],
  ])('is asked by GET of the first byte of an upstream %s', async (_, status) => {
    upstream.handler = ({ method, headers }, response) => {
      if (method === 'HEAD') return response.writeHead(status, { 'transfer-encoding': 'chunked' }).end();
      expect(headers.range).toBe('bytes=0-0');
      return response.writeHead(206, { 'content-range': range(0, 0), 'content-length': 1 }).end('x');
    };
    expect(await size()).toBe(content.length);
  });

  it('is 0 of an empty one', async () => {
    upstream.handler = ({ method }, response) =>
      response.writeHead(method === 'HEAD' ? 405 : 416, { 'content-range': 'bytes */0' }).end();
    expect(await size()).toBe(0);
  });

  it('may be unknown', async () => {
    upstream.handler = (_, response) => response.writeHead(200, { 'transfer-encoding': 'chunked' }).end();
    expect(await size()).toBeUndefined();
  });

  it('is nothing where there is none', async () => {
    upstream.handler = (_, response) => response.writeHead(404).end();
    const before = upstream.requests.length;
    await expect(size()).rejects.toMatchObject({ kind: 'missing' });
    expect(upstream.requests.length).toBe(before + 1);
  });
});

it('an endpoint that is to be avoided is asked only when there is no other', async () => {
  const other = await startLyingUpstream((_, response) =>
    response.writeHead(200, { 'content-length': 5 }).end('other'),
  );
  upstream.handler = (_, response) => response.writeHead(200, { 'content-length': 4 }).end('this');
  const both = clientOf([upstream, other]);
  const from = async (...avoid: string[]) => {
    const blob = await both.openBlob(repository, digest, { avoid: new Set(avoid) });
    return (await bytesOf(blob.body)).toString();
  };
  expect(await from()).toBe('this');
  expect(await from(upstream.url)).toBe('other');
  expect(await from(upstream.url, other.url)).toBe('this');
  await both.close();
  await other.close();
});
