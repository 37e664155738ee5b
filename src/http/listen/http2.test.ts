import { once } from 'node:events';
import { type ClientHttp2Session, connect, constants, type SecureClientSessionOptions } from 'node:http2';
import { setTimeout as delay } from 'node:timers/promises';
import { connect as connectTls } from 'node:tls';
import type { HttpBindings } from '@hono/node-server';
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { continueIfExpected } from './continue.ts';
import { createTestCertificates, type TestAuthority, type TestCertificates } from './testing/certificates.ts';
import { deferred } from './testing/deferred.ts';
import { connectRaw } from './testing/raw-client.ts';
import { serve } from './testing/serve.ts';

let files: TestCertificates;
let authority: TestAuthority;
let tls: { certificate: string; key: string };

beforeAll(() => {
  files = createTestCertificates();
  authority = files.authority('authority');
  tls = authority.issue('server');
});
afterAll(() => files.remove());

const mebibyte = Buffer.alloc(1024 * 1024, 'x');

const app = new Hono<{ Bindings: HttpBindings }>()
  .get('/', (c) => c.text(`hello over ${c.env.incoming.httpVersion}`))
  .put('/all', async (c) => {
    continueIfExpected(c.env.incoming, c.env.outgoing);
    let size = 0;
    for await (const chunk of c.env.incoming) size += (chunk as Buffer).length;
    return c.text(String(size), 201);
  })
  .put('/refused', (c) => c.json({ errors: [] }, 401))
  .put('/part', async (c) => {
    await once(c.env.incoming, 'data');
    c.env.incoming.pause();
    return c.json({ errors: [] }, 413);
  })
  .get('/large', async (c) => {
    const { outgoing } = c.env;
    outgoing.writeHead(200);
    for (let sent = 0; sent < 64; sent++) if (!outgoing.write(mebibyte)) await once(outgoing, 'drain');
    outgoing.end();
    return RESPONSE_ALREADY_SENT;
  })
  .onError((_, c) => c.text('', 500));

function dial(url: string, options: SecureClientSessionOptions = {}): ClientHttp2Session {
  const session = connect(url, { ca: authority.cert, maxSessionMemory: 100, ...options });
  session.on('error', () => {});
  onTestFinished(() => session.destroy());
  return session;
}

/** One request; resolves when its answer has ended, even if the body was not taken to its end. */
async function ask(session: ClientHttp2Session, path: string, body?: Buffer, headers = {}) {
  const method = body === undefined ? 'GET' : 'PUT';
  const stream = session.request({ ':path': path, ':method': method, ...headers }, { endStream: body === undefined });
  let status = 0;
  let size = 0;
  let text = '';
  stream.on('response', (fields) => {
    status = fields[':status'] ?? 0;
  });
  stream.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (text.length < 1000) text += chunk.toString();
  });
  stream.on('error', () => {});
  if (body !== undefined) stream.end(body);
  await new Promise((resolve) => stream.once('end', resolve).once('close', resolve));
  return { status, size, text, code: stream.rstCode };
}

describe.each(['https', 'http'])('HTTP/2 over %s', (scheme) => {
  const options = () => (scheme === 'https' ? { tls } : { h2c: { enabled: true } });

  test('serves requests side by side on one connection, and HTTP/1.1 on the same port', async () => {
    const { url } = await serve(app, options());
    const session = dial(url);
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask(session, '/')));
    for (const answer of answers) expect(answer).toMatchObject({ status: 200, text: 'hello over 2.0' });
  });

  test('moves large bodies in both directions', async () => {
    const { url } = await serve(app, options());
    const session = dial(url);
    const upload = Buffer.alloc(32 * mebibyte.length);
    const [put, get] = await Promise.all([ask(session, '/all', upload), ask(session, '/large')]);
    expect(put).toMatchObject({ status: 201, text: String(upload.length) });
    expect(get).toMatchObject({ status: 200, size: 64 * mebibyte.length });
  });

  test.each(['/refused', '/part'])('answers before the body is read (%s) and keeps the connection', async (path) => {
    const { url } = await serve(app, options());
    const session = dial(url);
    const answer = await ask(session, path, Buffer.alloc(16 * mebibyte.length));
    expect(answer.status).toBeGreaterThan(400);
    expect(answer.code).toBe(constants.NGHTTP2_NO_ERROR);
    expect(answer.text).toBe('{"errors":[]}');
    expect(await ask(session, '/')).toMatchObject({ status: 200 });
  });

  test('asks for a body that waits, and only for one that it wants', async () => {
    const { url } = await serve(app, options());
    const session = dial(url);
    for (const [path, wanted] of [
      ['/all', true],
      ['/refused', false],
    ] as const) {
      const stream = session.request({ ':path': path, ':method': 'PUT', expect: '100-continue' });
      let asked = false;
      stream.on('continue', () => {
        asked = true;
        stream.end('body');
      });
      stream.on('error', () => {}).resume();
      await once(stream, 'response');
      expect(asked).toBe(wanted);
    }
  });

  test('refuses other expectations', async () => {
    const { url } = await serve(app, options());
    const answer = await ask(dial(url), '/', undefined, { expect: 'cake' });
    expect(answer.status).toBe(417);
    expect(JSON.parse(answer.text).errors[0].code).toBe('UNSUPPORTED');
  });

  test('cuts a stream whose client stands still, and no other', async () => {
    const { url, log } = await serve(app, { ...options(), timeouts: { body: 100 } });
    const session = dial(url);
    const lazy = session.request({ ':path': '/all', ':method': 'PUT' });
    lazy.on('error', () => {});
    lazy.write('some');
    const deaf = session.request({ ':path': '/large' });
    deaf.on('error', () => {});
    deaf.pause();
    const cut = 'cut a client that neither sent nor took bytes';
    await Promise.all([log.seen(cut, { path: '/all' }), log.seen(cut, { path: '/large' })]);
    if (!lazy.closed) await once(lazy, 'close');
    expect(lazy.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(await ask(session, '/')).toMatchObject({ status: 200 });
  });

  test('does not cut a stream while the server is at work on it', async () => {
    const slow = new Hono<{ Bindings: HttpBindings }>().get('/', async (c) => {
      await delay(350);
      return c.text('done');
    });
    const { url } = await serve(slow, { ...options(), timeouts: { body: 100 } });
    expect(await ask(dial(url), '/')).toMatchObject({ status: 200, text: 'done' });
  });

  test('closes a connection without requests after its time', async () => {
    const { url } = await serve(app, { ...options(), timeouts: { keepalive: 100 } });
    const session = dial(url);
    await ask(session, '/');
    const [code] = await once(session, 'goaway');
    expect(code).toBe(constants.NGHTTP2_NO_ERROR);
    await once(session, 'close');
  });

  test('says goodbye when it is drained, and finishes what runs', async () => {
    const arrived = deferred();
    const answer = deferred();
    const slow = new Hono<{ Bindings: HttpBindings }>()
      .get('/', async (c) => {
        arrived.resolve();
        await answer.promise;
        return c.text('done');
      })
      .get('/idle', (c) => c.text(''));
    const { url, drain } = await serve(slow, options());
    const idle = dial(url);
    await ask(idle, '/idle');
    const session = dial(url);
    const running = ask(session, '/');
    await arrived.promise;
    const goodbye = Promise.all([once(session, 'goaway'), once(idle, 'close')]);
    const drained = drain(60_000);
    await goodbye;
    answer.resolve();
    expect(await running).toMatchObject({ status: 200, text: 'done' });
    await drained;
  });

  test('cuts what outlasts the drain time, and the handler hears of it', async () => {
    const arrived = deferred();
    const gone = deferred();
    const slow = new Hono<{ Bindings: HttpBindings }>().get('/', async (c) => {
      c.req.raw.signal.addEventListener('abort', () => gone.resolve());
      arrived.resolve();
      await gone.promise;
      return c.text('');
    });
    const { url, drain } = await serve(slow, options());
    const running = ask(dial(url), '/');
    await arrived.promise;
    await drain(20);
    await gone.promise;
    expect(await running).toMatchObject({ status: 0 });
  });

  test('tells the handler when a client takes its request back', async () => {
    const arrived = deferred();
    const gone = deferred();
    const slow = new Hono<{ Bindings: HttpBindings }>().get('/', async (c) => {
      c.req.raw.signal.addEventListener('abort', () => gone.resolve());
      arrived.resolve();
      await gone.promise;
      return c.text('');
    });
    const { url } = await serve(slow, options());
    const stream = dial(url).request({ ':path': '/' });
    stream.on('error', () => {});
    await arrived.promise;
    stream.close(constants.NGHTTP2_CANCEL);
    await gone.promise;
  });

  test('ends the connection of a client that floods it with requests taken back', async () => {
    const { url } = await serve(app, options());
    const session = dial(url);
    await ask(session, '/');
    let made = 0;
    const closed = new Promise((resolve) => session.once('close', resolve));
    for (; made < 20_000 && !session.closed && !session.destroyed; made++) {
      session
        .request({ ':path': '/' })
        .on('error', () => {})
        .close(constants.NGHTTP2_CANCEL);
      if (made % 100 === 99) await delay(1);
    }
    await closed;
    expect(made).toBeLessThan(20_000);
    expect(await ask(dial(url), '/')).toMatchObject({ status: 200 });
  });
});

describe('the protocol is chosen', () => {
  const version = (port: number, ALPNProtocols?: string[]) =>
    new Promise((resolve, reject) => {
      const socket = connectTls({
        port,
        host: '127.0.0.1',
        ca: authority.cert,
        ...(ALPNProtocols && { ALPNProtocols }),
      });
      socket.once('error', reject);
      socket.once('secureConnect', () => {
        resolve(socket.alpnProtocol);
        socket.destroy();
      });
    });

  test('in the TLS handshake: HTTP/2 first, HTTP/1.1 for clients that ask for it or for nothing', async () => {
    const { port, url } = await serve(app, { tls });
    expect(await version(port, ['http/1.1', 'h2'])).toBe('h2');
    expect(await version(port, ['http/1.1'])).toBe('http/1.1');
    expect(await version(port)).toBe(false);
    const response = await new Promise<string>((resolve, reject) => {
      const socket = connectTls({ port, host: '127.0.0.1', ca: authority.cert });
      socket.on('error', reject);
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk;
      });
      socket.on('end', () => resolve(text));
      socket.write(`GET / HTTP/1.1\r\nHost: ${new URL(url).host}\r\nConnection: close\r\n\r\n`);
    });
    expect(response).toContain('hello over 1.1');
  });

  test('as HTTP/1.1 where HTTP/2 is disabled', async () => {
    const { port } = await serve(app, { tls, http2: { disabled: true } });
    expect(await version(port, ['h2', 'http/1.1'])).toBe('http/1.1');
  });

  test('in clear text by the first bytes, in whatever pieces they come', async () => {
    const { target } = await serve(app, { h2c: { enabled: true } });
    const split = await connectRaw(target);
    for (const byte of 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n') await split.send(byte);
    await split.send(Buffer.from([0, 0, 0, 4, 0, 0, 0, 0, 0])); // An empty SETTINGS frame.
    const settings = await split.until('\x04');
    expect(settings.charCodeAt(3)).toBe(4);
    split.socket.destroy();

    const slow = await connectRaw(target);
    for (const byte of 'PUT /all HTTP/1.1\r\nHost: r\r\nContent-Length: 5\r\n\r\nab') await slow.send(byte);
    await slow.send('cde');
    expect(await slow.until('\r\n\r\n5')).toContain('201 Created');
    await slow.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
    await slow.until('hello over 1.1');
    slow.socket.destroy();
  });

  test('in clear text also for a large HTTP/1.1 request that comes at once', async () => {
    const { target } = await serve(app, { h2c: { enabled: true } });
    const client = await connectRaw(target);
    const head = `PUT /all HTTP/1.1\r\nHost: r\r\nContent-Length: ${8 * mebibyte.length}\r\n\r\n`;
    await client.send(Buffer.concat([Buffer.from(head), ...Array.from({ length: 8 }, () => mebibyte)]));
    await client.until(String(8 * mebibyte.length));
    client.socket.destroy();
  });

  test('as HTTP/1.1 only, where h2c is not enabled', async () => {
    const { target } = await serve(app);
    const client = await connectRaw(target);
    await client.send('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
    await client.ended();
    expect(client.text()).not.toContain('200');
    client.socket.destroy();
  });

  test('a connection in clear text whose client ends its side is closed, and the handler hears of it', async () => {
    const arrived = deferred();
    const gone = deferred();
    const slow = new Hono<{ Bindings: HttpBindings }>().get('/', async (c) => {
      c.req.raw.signal.addEventListener('abort', () => gone.resolve());
      arrived.resolve();
      await gone.promise;
      return c.text('');
    });
    const { target } = await serve(slow, { h2c: { enabled: true } });
    const client = await connectRaw(target);
    const session = connect(`http://127.0.0.1:${target.port}`, { createConnection: () => client.socket });
    session.on('error', () => {});
    session.request({ ':path': '/' }).on('error', () => {});
    await arrived.promise;
    client.socket.end();
    await gone.promise;
    if (!client.socket.closed) await once(client.socket, 'close');
  });

  test('a connection that ends before it shows its protocol is closed', async () => {
    const { target } = await serve(app, { h2c: { enabled: true } });
    const client = await connectRaw(target);
    client.socket.end('PRI * HT');
    await client.ended();
    client.socket.destroy();
  });

  test('a connection that never shows its protocol is closed', async () => {
    const { target } = await serve(app, { h2c: { enabled: true }, timeouts: { header: 100 } });
    const client = await connectRaw(target);
    await client.send('PRI * HT');
    await client.ended();
    client.socket.destroy();
  });
});
