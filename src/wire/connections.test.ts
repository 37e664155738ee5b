import { execFileSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { createSecureContext, createServer as createTlsServer } from 'node:tls';
import { afterEach, describe, expect, test, vi } from 'vitest';
import { Connections, type Limits } from './connections.ts';
import type { Answer } from './messages.ts';
import { MalformedAnswerError } from './response-head.ts';

const content = randomBytes(2 * 1024 * 1024 + 5);
const whole = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\nETag: "e"\r\n\r\n`),
  content,
]);

const limits: Limits = { connect: 1_000, head: 1_000, idle: 1_000, keepAlive: 1_000 };

let server: Server | undefined;
let connections: Connections | undefined;
afterEach(async () => {
  connections?.close();
  server?.close();
});

function portOf(listening: Server | undefined): number {
  const address = listening?.address();
  return (address as AddressInfo).port;
}

interface Asked {
  readonly path: string;
  /** Which of the connections it came over. */
  readonly connection: number;
}

/** A server that answers the n-th request as it is told to. */
async function start(answer: (socket: Socket, count: number) => void | Promise<void>, given: Partial<Limits> = {}) {
  const asked: Asked[] = [];
  let made = 0;
  server = createServer((socket) => {
    const connection = made;
    made += 1;
    socket.setNoDelay(true);
    socket.on('error', () => undefined);
    socket.on('data', (bytes) => {
      asked.push({ path: bytes.toString().split(' ')[1] ?? '', connection });
      void answer(socket, asked.length - 1);
    });
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const origin = `http://127.0.0.1:${portOf(server)}`;
  const pool = new Connections({ ...limits, ...given });
  connections = pool;
  const send = (method: 'GET' | 'HEAD', path = '/object', signal?: AbortSignal) =>
    pool.send({ origin, method, path, headers: { host: 'here' } }, signal);
  const get = (path?: string, signal?: AbortSignal) => send('GET', path, signal);
  return { asked, get, send };
}

async function bytesOf({ body }: Answer): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of body) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

function isContent(bytes: Buffer): boolean {
  return createHash('sha256').update(bytes).digest('hex') === createHash('sha256').update(content).digest('hex');
}

test('answers come over one connection, one after the other', async () => {
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
    for await (const chunk of answer.body) {
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
  const chunks = body[Symbol.asyncIterator]();
  let received = (await chunks.next()).value.length;
  await delay(400);
  expect(written).toBeLessThan(size / 2);
  for (let next = await chunks.next(); !next.done; next = await chunks.next()) received += next.value.length;
  expect(received).toBe(size);
});

test('a server that falls silent is heard of after a pause of the reader, too', async () => {
  const { get } = await start((socket) => void socket.write(whole.subarray(0, 1_500_000)), { idle: 100 });
  const { body } = await get();
  const chunks = body[Symbol.asyncIterator]();
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
  await expect(get('/3')).rejects.toThrow('the connections were closed');
  expect(asked.map(({ path }) => path)).toEqual(['/1']);
});

test('a body without bytes, and an answer that was announced', async () => {
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

describe('an answer', () => {
  test.each([
    ['of an error', 'GET', 'HTTP/1.1 404 Not Found\r\nContent-Length: 3\r\n\r\nxml', 404, 'xml'],
    ['in chunks', 'GET', 'HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nxml\r\n0\r\n\r\n', 503, 'xml'],
    ['to HEAD', 'HEAD', 'HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n', 200, ''],
    ['to HEAD of what has chunks', 'HEAD', 'HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n', 401, ''],
    ['without content', 'GET', 'HTTP/1.1 204 No Content\r\n\r\n', 204, ''],
    ['that has not changed', 'GET', 'HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n', 304, ''],
    ['that sends elsewhere', 'GET', 'HTTP/1.1 307 \r\nLocation: /ü\r\nContent-Length: 0\r\n\r\n', 307, ''],
  ] as const)('leaves its connection for the next one: %s', async (_, method, text, status, content) => {
    const { asked, get, send } = await start((socket, count) => void socket.write(count === 0 ? text : whole));
    const answer = await send(method);
    expect(answer.status).toBe(status);
    if (status === 307) expect(answer.headers.location).toBe('/ü');
    expect((await bytesOf(answer)).toString()).toBe(content);
    expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 0]);
  });

  test.each([
    ['has no length', 'HTTP/1.1 200 OK\r\n\r\n'],
    ['is in HTTP/1.0', 'HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n'],
  ])('ends with its connection when it %s', async (_, head) => {
    const { asked, get } = await start((socket) => void socket.end(Buffer.concat([Buffer.from(head), content])));
    for (let count = 0; count < 2; count += 1) expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test('is right wherever it is cut', async () => {
    const text =
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n' +
      '5;name="va;lue"\r\nabcde\r\n00A ; x\r\n0123456789\r\n0;last\r\nTrailer: x\r\nAnother: y\r\n\r\n';
    let cut = 0;
    const { asked, get } = await start(async (socket) => {
      socket.write(text.slice(0, cut));
      await delay(1);
      socket.write(text.slice(cut));
    });
    for (cut = 1; cut < text.length; cut += 1) {
      expect((await bytesOf(await get())).toString()).toBe('abcde0123456789');
    }
    expect(new Set(asked.map(({ connection }) => connection))).toEqual(new Set([0]));
  });

  test('in many chunks is right, however slow it is read', async () => {
    const { get } = await start(async (socket) => {
      socket.write('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n');
      for (let at = 0, size = 1; at < content.length; at += size, size = (size * 7) % 100_003) {
        const piece = content.subarray(at, at + size);
        socket.write(`${piece.length.toString(16)}\r\n`);
        socket.write(piece);
        if (!socket.write('\r\n')) await once(socket, 'drain');
      }
      socket.write('0\r\n\r\n');
    });
    const chunks: Buffer[] = [];
    for await (const chunk of (await get()).body) {
      await delay(2);
      chunks.push(Buffer.from(chunk));
    }
    expect(isContent(Buffer.concat(chunks))).toBe(true);
  });

  test('that is small and discarded leaves its connection, one that is large takes it along', async () => {
    const { asked, get } = await start((socket, count) => {
      const size = count === 1 ? 1_000_000 : 1_000;
      socket.write(`HTTP/1.1 404 No\r\nContent-Length: ${size}\r\n\r\n`);
      socket.write(content.subarray(0, size));
    });
    for (let count = 0; count < 3; count += 1) {
      (await get()).body.discard();
      await delay(50);
    }
    expect(asked.map(({ connection }) => connection)).toEqual([0, 0, 1]);
  });

  test.each([
    ['no size', 'x'],
    ['a negative one', '-3'],
    ['one with a sign', '+3'],
    ['one of another notation', '0x3'],
    ['one that is huge', 'ffffffffffffffff'],
    ['one that is not that of its data', '2'],
    ['one after a blank', ' 3'],
    ['an extension with a control character', '3;a\rb'],
  ])('whose chunk has %s is refused', async (_, size) => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
    const { get } = await start((socket) => void socket.write(`${head}${size}\r\nabc\r\n0\r\n\r\n`));
    const { body } = await get();
    await expect(body.bytes()).rejects.toThrow(/chunk of the body/);
  });

  test('whose trailers do not end is refused', async () => {
    const head = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n';
    const { get } = await start((socket) => void socket.write(head + 'A: b\r\n'.repeat(5_000)));
    const { body } = await get();
    await expect(body.bytes()).rejects.toThrow(/more than 16384 bytes/);
  });

  test.each([
    ['another protocol', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['a header without a name', 'HTTP/1.1 200 OK\r\n: x\r\n\r\n'],
    ['a folded header', 'HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n'],
    ['two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12'],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1'],
    ['a coding that nobody asked for', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n1'],
    ['chunks that are chunked', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n1'],
    ['a header with a zero', 'HTTP/1.1 200 OK\r\nA: b\0\r\nContent-Length: 1\r\n\r\n1'],
    ['a header with half an end', 'HTTP/1.1 200 OK\r\nA: b\nContent-Length: 1\r\n\r\n1'],
    ['a name with a blank', 'HTTP/1.1 200 OK\r\nContent-Length : 1\r\n\r\n1'],
    ['another protocol instead', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n'],
    ['a length that is none', 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n1'],
    ['a head without an end', `HTTP/1.1 200 OK\r\nA: ${'x'.repeat(20_000)}`],
  ])('is refused where it is not clear: %s', async (_, text) => {
    const { get } = await start((socket) => void socket.write(text));
    await expect(get()).rejects.toThrow(MalformedAnswerError);
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
    [
      'when the server says that it keeps it for a second',
      (socket: Socket) =>
        void socket.write(whole.toString('latin1').replace('ETag', 'Keep-Alive: timeout=1\r\nETag'), 'latin1'),
    ],
    ['when the server has closed it', (socket: Socket) => void socket.end(whole)],
  ])('%s', async (_, answer) => {
    const { asked, get } = await start((socket, count) => (count === 0 ? answer(socket) : void socket.write(whole)));
    expect(isContent(await bytesOf(await get()))).toBe(true);
    await delay(50);
    expect(isContent(await bytesOf(await get()))).toBe(true);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 1]);
  });

  test('when more came than was announced, though the end lies at the end of memory, and is otherwise', async () => {
    const size = 512 * 1024;
    const even = Buffer.concat([
      Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`),
      content.subarray(0, size),
    ]);
    const more = Buffer.concat([even, Buffer.from('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad')]);
    const { asked, get } = await start((socket, count) => void socket.write(count === 1 ? more : even));
    for (let count = 0; count < 3; count += 1) expect(await bytesOf(await get())).toHaveLength(size);
    expect(asked.map(({ connection }) => connection)).toEqual([0, 0, 1]);
  });

  test('when its body was not read to the end', async () => {
    const closed = vi.fn();
    const { asked, get } = await start((socket) => {
      socket.once('close', closed);
      socket.write(whole);
    });
    const { body } = await get();
    for await (const _ of body) break;
    body.destroy();
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
  ])('%s in the middle of a body is heard of after right bytes', async (_, answer) => {
    const { get } = await start((socket) => answer(socket), { idle: 200 });
    const { body } = await get();
    let received = 0;
    const read = async () => {
      for await (const chunk of body) {
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

test('who gives up while it connects, waits or reads gets his own reason, and leaves no connection', async () => {
  const { asked, get } = await start((socket, count) => void (count > 0 && socket.write(whole.subarray(0, 1_000_000))));
  const reason = new Error('enough');
  const connecting = new AbortController();
  const never = get('/0', connecting.signal);
  connecting.abort(reason);
  await expect(never).rejects.toBe(reason);
  const waiting = new AbortController();
  const waits = get('/1', waiting.signal);
  await vi.waitFor(() => expect(asked).toHaveLength(1));
  waiting.abort(reason);
  await expect(waits).rejects.toBe(reason);
  const reading = new AbortController();
  const { body } = await get('/2', reading.signal);
  setTimeout(() => reading.abort(reason), 20);
  await expect(body.bytes()).rejects.toBe(reason);
  await expect(get('/3', AbortSignal.abort(reason))).rejects.toBe(reason);
  expect(asked.map(({ path }) => path)).toEqual(['/1', '/2']);
});

test('times have their limits: to connect, until an answer begins, though it drips, and within it', async () => {
  const { get } = await start(
    async (socket, count) => {
      if (count === 1) socket.write('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab');
      // A head that never ends, but goes on.
      if (count === 0)
        for (let sent = 0; sent < 20 && socket.write('HTTP/1.1 200 OK'.slice(sent)[0] ?? 'x'); sent += 1)
          await delay(25);
    },
    { head: 200, idle: 100 },
  );
  await expect(get()).rejects.toThrow('did not answer within 200 ms');
  await expect((await get()).body.bytes()).rejects.toThrow('silent for 100 ms');
  // It takes connections, but has no TLS.
  const origin = `https://127.0.0.1:${portOf(server)}`;
  server?.removeAllListeners('connection');
  const hasty = new Connections({ ...limits, connect: 100 });
  await expect(hasty.send({ origin, method: 'GET', path: '/', headers: {} })).rejects.toThrow(
    'gave no connection within 100 ms',
  );
  hasty.close();
});

test('a connection that was closed just when it is used again is told from others', async () => {
  const { asked, get } = await start((socket, count) => {
    if (count === 0) socket.write(whole);
    else socket.resetAndDestroy();
  });
  await bytesOf(await get());
  await expect(get()).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(asked.map(({ connection }) => connection)).toEqual([0, 0]);
});

test('names are looked up as is said', async () => {
  await start((socket) => void socket.write(whole));
  const port = portOf(server);
  const asked: string[] = [];
  const found = new Connections(limits, {
    lookup: (name, options, callback) => {
      asked.push(name);
      const [refused, address] = [
        { address: '127.0.0.2', family: 4 },
        { address: '127.0.0.1', family: 4 },
      ];
      if (options.all) callback(null, [refused, address]);
      else callback(null, address.address, 4);
    },
  });
  const request = { origin: `http://storage.invalid:${port}`, method: 'GET', path: '/', headers: {} } as const;
  expect(isContent(await bytesOf(await found.send(request)))).toBe(true);
  expect(asked).toEqual(['storage.invalid']);
  found.close();
  const refusing = new Connections(limits, { lookup: (_, __, callback) => callback(new Error('not there'), []) });
  await expect(refusing.send(request)).rejects.toThrow('not there');
  refusing.close();
});

describe('a request', () => {
  test('says whom it asks', async () => {
    let request = '';
    const { port } = await new Promise<AddressInfo>((resolve) => {
      server = createServer((socket) => {
        socket.on('error', () => undefined);
        socket.on('data', (bytes) => {
          request = bytes.toString('latin1');
          socket.write('HTTP/1.1 204 No Content\r\n\r\n');
        });
      }).listen(0, '127.0.0.1', () => resolve(server?.address() as AddressInfo));
    });
    connections = new Connections(limits);
    const origin = `http://127.0.0.1:${port}`;
    await connections.send({ origin, method: 'HEAD', path: '/a?b=c', headers: { accept: 'é' } });
    expect(request).toBe(`HEAD /a?b=c HTTP/1.1\r\nhost: 127.0.0.1:${port}\r\naccept: é\r\n\r\n`);
  });

  test.each([
    ['a line in a value', '/', { a: 'b\r\nc: d' }],
    ['a zero in a value', '/', { a: 'b\0' }],
    ['a character in a value that has no byte', '/', { a: '€' }],
    ['a name that is none', '/', { 'a b': 'c' }],
    ['a blank in its path', '/ HTTP/1.1', {}],
  ])('is not sent with %s', async (_, path, headers) => {
    const { asked } = await start(() => undefined);
    const origin = `http://127.0.0.1:${portOf(server)}`;
    await expect(connections?.send({ origin, method: 'GET', path, headers })).rejects.toThrow(TypeError);
    await delay(20);
    expect(asked).toEqual([]);
  });
});

describe('over TLS', () => {
  const folder = mkdtempSync(join(tmpdir(), 'berth-tls-'));
  const [keyFile, certFile] = [join(folder, 'key'), join(folder, 'cert')];
  const subject = ['-subj', '/CN=storage', '-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'];
  const files = ['-days', '1', '-nodes', '-keyout', keyFile, '-out', certFile];
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', ...subject, ...files],
    { stdio: 'ignore' },
  );
  const [key, cert] = [readFileSync(keyFile), readFileSync(certFile)];
  rmSync(folder, { recursive: true });

  const listen = async (answer: (socket: Socket) => void, names: unknown[] = []) => {
    server = createTlsServer({ key, cert }, (socket) => {
      names.push(socket.servername);
      socket.on('error', () => undefined);
      socket.on('data', () => answer(socket));
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    return (host: string) => ({ origin: `https://${host}:${port}`, method: 'GET', path: '/', headers: {} }) as const;
  };

  test('servers are those that are known, unless any may be', async () => {
    const names: unknown[] = [];
    const to = await listen((socket) => void socket.write(whole), names);
    const trusted = createSecureContext({ ca: [cert] });
    for (const options of [{ rejectUnauthorized: false }, { secureContext: trusted }]) {
      connections?.close();
      connections = new Connections(limits, options);
      for (const host of ['127.0.0.1', 'localhost']) {
        expect(isContent(await bytesOf(await connections.send(to(host))))).toBe(true);
      }
    }
    expect(names).toEqual([false, 'localhost', false, 'localhost']);
    connections?.close();
    connections = new Connections(limits);
    await expect(connections.send(to('127.0.0.1'))).rejects.toThrow(/self-signed/);
  });

  test('bytes are right however slow they are read', async () => {
    const to = await listen((socket) => void socket.write(whole));
    connections = new Connections(limits, { rejectUnauthorized: false });
    for (let count = 0; count < 3; count += 1) {
      const chunks: Buffer[] = [];
      for await (const chunk of (await connections.send(to('127.0.0.1'))).body) {
        const before = Buffer.from(chunk);
        await delay(20);
        expect(chunk.equals(before)).toBe(true);
        chunks.push(before);
      }
      expect(isContent(Buffer.concat(chunks))).toBe(true);
    }
  });
});
