import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { type ObjectAnswer, ObjectConnections } from './object-connections.ts';

const content = randomBytes(2 * 1024 * 1024 + 5);
const whole = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nETag: "e"\r\n\r\n`),
  content,
]);

let server: Server | undefined;
let connections: ObjectConnections | undefined;
afterEach(async () => {
  connections?.close();
  server?.close();
});

interface Asked {
  readonly path: string;
  /** Which of the connections it came over. */
  readonly connection: number;
}

/** A server that answers the n-th request as it is told to. */
async function start(
  answer: (socket: Socket, count: number) => void | Promise<void>,
  limits: { idle?: number; connections?: number } = {},
) {
  const asked: Asked[] = [];
  let made = 0;
  server = createServer((socket) => {
    const connection = made;
    made += 1;
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      asked.push({ path: bytes.toString().split(' ')[1] ?? '', connection });
      void answer(socket, asked.length - 1);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  connections = new ObjectConnections(
    { connect: 1_000, idle: 1_000, connections: 4, ...limits },
    { skipverify: false },
  );
  const pool = connections;
  const get = (path = '/object', signal = new AbortController().signal) =>
    pool.get({ origin, path, headers: { host: 'here' } }, signal);
  return { asked, get };
}

async function bytesOf({ body }: ObjectAnswer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body ?? []) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function isContent(bytes: Buffer): boolean {
  return createHash('sha256').update(bytes).digest('hex') === createHash('sha256').update(content).digest('hex');
}

test('objects come over one connection, one after the other', async () => {
  const { asked, get } = await start((socket) => void socket.write(whole));
  for (const path of ['/a', '/b', '/c']) {
    const answer = await get(path);
    expect(answer.status).toBe(200);
    expect(answer.headers).toEqual({ 'content-length': String(content.length), etag: '"e"' });
    expect(isContent(await bytesOf(answer))).toBe(true);
  }
  expect(asked).toEqual(['/a', '/b', '/c'].map((path) => ({ path, connection: 0 })));
});

test('several at once have a connection each, and no more than are allowed', async () => {
  const { asked, get } = await start(
    async (socket) => {
      await delay(20);
      socket.write(whole);
    },
    { connections: 2 },
  );
  const all = await Promise.all(Array.from({ length: 6 }, async () => bytesOf(await get())));
  expect(all.every(isContent)).toBe(true);
  expect(new Set(asked.map(({ connection }) => connection))).toEqual(new Set([0, 1]));
});

test('bytes are right however they are cut, and however slow they are read', async () => {
  const { get } = await start(async (socket, count) => {
    const step = [1, 7, 4096, 100_000][count] ?? 1;
    const begin = count < 2 ? 300 : whole.length;
    for (let at = 0; at < begin; at += step) {
      socket.write(whole.subarray(at, Math.min(at + step, begin)));
      if (count < 2) await delay(1);
    }
    socket.write(whole.subarray(begin));
  });
  for (let count = 0; count < 4; count += 1) {
    const answer = await get();
    const chunks: Buffer[] = [];
    for await (const chunk of answer.body ?? []) {
      // It is ours until we ask for the next one.
      const before = Buffer.from(chunk);
      await delay(2);
      expect(chunk.equals(before)).toBe(true);
      chunks.push(before);
    }
    expect(isContent(Buffer.concat(chunks))).toBe(true);
  }
});

test('what nobody takes is not read from the server, for longer than the limit on silence too', async () => {
  const size = 64 * 1024 * 1024;
  let written = 0;
  const { get } = await start(
    async (socket) => {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
      for (; written < size; written += 65_536) {
        if (!socket.write(content.subarray(0, 65_536))) await once(socket, 'drain');
      }
    },
    { idle: 100 },
  );
  const { body } = await get();
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  let received = (await chunks.next()).value.length;
  await delay(400);
  expect(written).toBeLessThan(size / 2);
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) received += next.value.length;
  expect(received).toBe(size);
});

test('a server that falls silent is heard of after a pause of the reader, too', async () => {
  const { get } = await start((socket) => void socket.write(whole.subarray(0, 1_500_000)), { idle: 100 });
  const { body } = await get();
  const chunks = (body as AsyncIterable<Buffer>)[Symbol.asyncIterator]();
  await chunks.next();
  await delay(300);
  const readOn = async () => {
    while (!(await chunks.next()).done);
  };
  await expect(readOn()).rejects.toThrow('silent');
});

test('once it is closed, who has waited for a connection gets none', async () => {
  const { asked, get } = await start(() => undefined, { connections: 1 });
  const results = Promise.allSettled([get('/1'), get('/2')]);
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  connections?.close();
  expect((await results).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  await expect(get('/3')).rejects.toThrow('the driver was closed');
  expect(asked.map(({ path }) => path)).toEqual(['/1']);
});

test('an object without bytes, and an answer that was announced', async () => {
  const { asked, get } = await start((socket, count) => {
    if (count === 0) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
    else
      socket.write(
        Buffer.concat([Buffer.from('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n'), whole]),
      );
  });
  expect(await bytesOf(await get())).toHaveLength(0);
  expect(isContent(await bytesOf(await get()))).toBe(true);
  expect(asked.map(({ connection }) => connection)).toEqual([0, 0]);
});

describe('an answer that is no object', () => {
  test.each([
    ['an error', 'HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nxml', 404],
    ['one without a length', 'HTTP/1.1 200 OK\r\n\r\nxml', 200],
    ['chunks', 'HTTP/1.1 503 Slow Down\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxml\r\n0\r\n\r\n', 503],
  ])('has no body, and takes its connection with it: %s', async (_, text, status) => {
    const { asked, get } = await start((socket, count) => void socket.write(count === 0 ? text : whole));
    const answer = await get();
    expect([answer.status, answer.body]).toEqual([status, undefined]);
    expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n1'],
    ['a head without an end', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(20_000)}`],
  ])('is refused where it is no HTTP: %s', async (_, text) => {
    const { get } = await start((socket) => void socket.write(text));
    await expect(get()).rejects.toThrow(/answer|head|length/);
  });
});

describe('a connection is not used again', () => {
  test.each([
    [
      'when the server says so',
      (socket: Socket) =>
        void socket.write(whole.toString('latin1').replace('ETag', 'Connection: close\r\nETag'), 'latin1'),
    ],
    [
      'when more came than was announced',
      (socket: Socket) => void socket.write(Buffer.concat([whole, Buffer.from('HTTP/1.1 200 OK')])),
    ],
    ['when the server has closed it', (socket: Socket) => void socket.end(whole)],
  ])('%s', async (_, answer) => {
    const { asked, get } = await start((socket, count) => (count === 0 ? answer(socket) : void socket.write(whole)));
    expect(isContent(await bytesOf(await get()))).toBe(true);
    await delay(50);
    expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test('when its object was not read to the end', async () => {
    const closed = vi.fn();
    const { asked, get } = await start((socket) => {
      socket.once('close', closed);
      socket.write(whole);
    });
    const { body } = await get();
    for await (const _ of body ?? []) break;
    body?.destroy();
    expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 1]);
    expect(closed).toHaveBeenCalled();
  });
});

describe('a server that', () => {
  const begun = whole.subarray(0, 1_000_000);

  test.each([
    ['closes', (socket: Socket) => void socket.end(begun)],
    ['resets', (socket: Socket) => void socket.write(begun, () => setTimeout(() => socket.resetAndDestroy(), 50))],
    ['falls silent', (socket: Socket) => void socket.write(begun)],
  ])('%s in the middle of an object is heard of after right bytes', async (_, answer) => {
    const { get } = await start((socket) => answer(socket), { idle: 200 });
    const { body } = await get();
    let received = 0;
    const read = async () => {
      for await (const chunk of body ?? []) {
        expect(chunk.equals(content.subarray(received, received + chunk.length))).toBe(true);
        received += chunk.length;
      }
    };
    await expect(read()).rejects.toThrow(/closed|reset|RESET|silent/);
    expect(received).toBeLessThan(content.length);
  });

  test('closes instead of an answer, or is not there, is heard of', async () => {
    const { get } = await start((socket) => void socket.end());
    await expect(get()).rejects.toThrow(/closed/);
    server?.close();
    await expect(get()).rejects.toThrow(/ECONNREFUSED|closed/);
  });
});

test('who gives up before the answer leaves no connection, nor a place in the queue', async () => {
  const { asked, get } = await start((socket, count) => void (count > 0 && socket.write(whole)), { connections: 1 });
  const [one, two] = [new AbortController(), new AbortController()];
  const [first, second] = [get('/1', one.signal), get('/2', two.signal)];
  const third = get('/3');
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  two.abort();
  await expect(second).rejects.toThrow('aborted while it waited');
  one.abort();
  await expect(first).rejects.toThrow('aborted');
  expect(isContent(await bytesOf(await third))).toBe(true);
  expect(asked.map(({ path }) => path)).toEqual(['/1', '/3']);
  await expect(get('/4', AbortSignal.abort())).rejects.toThrow('aborted');
});

test('over TLS too, from a server that is known, or with skipverify from any', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-tls-'));
  try {
    const [key, cert] = [join(folder, 'key'), join(folder, 'cert')];
    const subject = ['-subj', '/CN=storage', '-days', '1', '-nodes', '-keyout', key, '-out', cert];
    execFileSync('openssl', ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', ...subject], {
      stdio: 'ignore',
    });
    server = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (socket) => {
      socket.on('error', () => undefined);
      socket.on('data', () => void socket.write(whole));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const origin = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const request = { origin, path: '/', headers: { host: 'here' } };
    for (const skipverify of [true, false]) {
      connections?.close();
      connections = new ObjectConnections({ connect: 1_000, idle: 1_000, connections: 4 }, { skipverify });
      const answer = connections.get(request, new AbortController().signal);
      if (skipverify) expect(isContent(await bytesOf(await answer))).toBe(true);
      else await expect(answer).rejects.toThrow(/self-signed/);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
