import { once } from 'node:events';
import { copyFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { Hono } from 'hono';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import {
  createTestCertificates,
  type TestAuthority,
  type TestCertificate,
  type TestCertificates,
} from './listen/testing/certificates.ts';
import { connectRaw, wrapRaw } from './listen/testing/raw-client.ts';
import { createRecordingLog } from './listen/testing/recording-log.ts';
import { serve } from './listen/testing/serve.ts';
import { type ClientAuth, loadCertificates } from './tls.ts';

let files: TestCertificates;
let authority: TestAuthority;
let server: TestCertificate;
let renewed: TestCertificate;
let client: TestCertificate;
let stranger: TestCertificate;

beforeAll(() => {
  files = createTestCertificates();
  authority = files.authority('authority');
  server = authority.issue('server');
  renewed = authority.issue('renewed');
  client = authority.issue('client');
  stranger = files.authority('elsewhere').issue('stranger');
});
afterAll(() => files.remove());

const app = new Hono().get('/', (c) => c.text('hello'));

/** Connects and makes one request; resolves with the answer, or with what went wrong. */
async function ask(port: number, options: ConnectionOptions = {}): Promise<string> {
  const socket = connect({ port, host: '127.0.0.1', ca: authority.cert, ...options });
  const raw = wrapRaw(socket);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n');
  const text = await raw.ended();
  socket.destroy();
  return text || 'no answer';
}

const hello = expect.stringMatching(/^HTTP\/1.1 200 OK[\s\S]*hello$/);

async function open(port: number, options: ConnectionOptions = {}): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca: authority.cert, ...options });
  onTestFinished(() => {
    socket.destroy();
  });
  await once(socket, 'secureConnect');
  return socket;
}

const subject = (socket: TLSSocket) => socket.getPeerCertificate().subject.CN;

describe('a server with a certificate', () => {
  test('speaks TLS, from 1.2 on', async () => {
    const { port, url } = await serve(app, { tls: server });
    expect(url).toBe(`https://127.0.0.1:${port}`);
    expect(await ask(port)).toEqual(hello);
    expect((await open(port)).getProtocol()).toBe('TLSv1.3');
    expect((await open(port, { maxVersion: 'TLSv1.2' })).getProtocol()).toBe('TLSv1.2');
    await expect(
      open(port, { minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' }),
    ).rejects.toThrow();
  });

  test('can insist on TLS 1.3', async () => {
    const { port } = await serve(app, { tls: { ...server, minimumtls: 'tls1.3' } });
    expect(await ask(port)).toEqual(hello);
    await expect(open(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/);
  });

  test('offers the cipher suites of the configuration, and TLS 1.3', async () => {
    const suite = 'ECDHE-ECDSA-CHACHA20-POLY1305';
    const { port } = await serve(app, { tls: { ...server, ciphersuites: [suite] } });
    expect((await open(port, { maxVersion: 'TLSv1.2' })).getCipher().name).toBe('ECDHE-ECDSA-CHACHA20-POLY1305');
    expect((await open(port)).getProtocol()).toBe('TLSv1.3');
    const other = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } as const;
    await expect(open(port, other)).rejects.toThrow(/handshake/);
  });

  test('survives clients that do not speak TLS', async () => {
    const { port, target } = await serve(app, { tls: server });
    const raw = await connectRaw(target);
    await raw.send('GET / HTTP/1.1\r\nHost: r\r\n\r\n');
    await raw.ended();
    raw.socket.destroy();
    expect(await ask(port)).toEqual(hello);
  });

  test('closes a connection whose handshake does not come', async () => {
    const { target } = await serve(app, { tls: server, timeouts: { header: 100 } });
    const raw = await connectRaw(target);
    expect(await raw.ended()).toBe('');
    raw.socket.destroy();
  });
});

describe('client certificates', () => {
  // What a client without a certificate, with one of a stranger, and with one of ours gets.
  const yes = true;
  test.each<[ClientAuth | undefined, boolean, boolean, boolean]>([
    ['request-client-cert', yes, yes, yes],
    ['require-any-client-cert', !yes, yes, yes],
    ['verify-client-cert-if-given', yes, !yes, yes],
    ['require-and-verify-client-cert', !yes, !yes, yes],
    [undefined, !yes, !yes, yes],
  ])('%s', async (clientauth, none, foreign, own) => {
    const { port } = await serve(app, { tls: { ...server, clientauth, clientcas: [authority.certificate] } });
    const served = async (options: ConnectionOptions) => (await ask(port, options)).startsWith('HTTP/1.1 200');
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      expect(await served({ maxVersion })).toBe(none);
      expect(await served({ maxVersion, cert: stranger.cert, key: stranger.privateKey })).toBe(foreign);
      expect(await served({ maxVersion, cert: client.cert, key: client.privateKey })).toBe(own);
    }
  });

  test('cannot be verified without authorities', async () => {
    const tls = { ...server, clientauth: 'verify-client-cert-if-given' } as const;
    await expect(serve(app, { tls })).rejects.toThrow(/needs http.tls.clientcas/);
  });
});

describe('files that cannot be used are named', () => {
  test.each<[string, (paths: TestCertificate) => { certificate?: string; key?: string; clientcas?: string[] }, RegExp]>(
    [
      [
        'a missing certificate',
        () => ({ certificate: '/none/a.pem' }),
        /cannot read http.tls.certificate \/none\/a.pem/,
      ],
      ['a missing key', () => ({ key: '/none/a.key' }), /cannot read http.tls.key \/none\/a.key/],
      ['a missing authority', () => ({ clientcas: ['/none/ca.pem'] }), /cannot read http.tls.clientcas \/none\/ca.pem/],
      ['a certificate that is a key', ({ key }) => ({ certificate: key }), /http.tls.certificate .* is not a PEM cert/],
      ['a key that is a certificate', ({ certificate }) => ({ key: certificate }), /http.tls.key .* PEM key/],
      ['an authority that is a key', ({ key }) => ({ clientcas: [key] }), /http.tls.clientcas .* is not a PEM/],
      [
        "another certificate's key",
        () => ({ key: client.key }),
        /server.pem and http.tls.key .*client.key do not work/,
      ],
    ],
  )('%s', async (_, change, message) => {
    const tls = { ...server, ...change(server) };
    await expect(serve(app, { tls })).rejects.toMatchObject({
      code: 'TLS_INVALID',
      message: expect.stringMatching(message),
    });
  });
});

describe('a new certificate', () => {
  const install = (name: string, from: TestCertificate) => {
    const to = { certificate: join(files.folder, `${name}.crt`), key: join(files.folder, `${name}.pkey`) };
    copyFileSync(from.certificate, to.certificate);
    copyFileSync(from.key, to.key);
    return to;
  };

  test('is taken on reload, without touching open connections', async () => {
    const tls = install('reload', server);
    const { port, reload, log } = await serve(app, { tls });
    const before = await open(port);
    install('reload', renewed);
    await reload();
    expect(subject(await open(port))).toBe('renewed');
    expect(subject(before)).toBe('server');
    const raw = wrapRaw(before);
    await raw.send('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await raw.until('hello');
    expect(log.lines.filter((line) => line.level === 'error')).toEqual([]);
  });

  test('that is broken is refused, and the one before stays', async () => {
    const tls = install('broken', server);
    const { port, reload, log } = await serve(app, { tls });
    writeFileSync(tls.certificate, 'not a certificate');
    await reload();
    expect(subject(await open(port))).toBe('server');
    expect(log.lines).toContainEqual(expect.objectContaining({ level: 'error' }));
    copyFileSync(renewed.certificate, tls.certificate);
    await reload();
    expect(subject(await open(port))).toBe('server');
    copyFileSync(renewed.key, tls.key);
    await reload();
    expect(subject(await open(port))).toBe('renewed');
  });

  test('keeps the demands of the configuration', async () => {
    const tls = { ...install('strict', server), minimumtls: 'tls1.3', clientcas: [authority.certificate] } as const;
    const { port, reload } = await serve(app, { tls });
    install('strict', renewed);
    await reload();
    expect(await ask(port)).toBe('no answer');
    expect(await ask(port, { cert: client.cert, key: client.privateKey })).toEqual(hello);
    await expect(open(port, { maxVersion: 'TLSv1.2' })).rejects.toThrow(/version/);
  });

  test('is noticed by itself, also when the files are replaced', async () => {
    const tls = install('watched', server);
    const log = createRecordingLog();
    const certificates = await loadCertificates(tls, log);
    onTestFinished(() => certificates.close());
    const applied = new Promise<unknown>((resolve) => {
      certificates.watch((context) => resolve(context.cert), 10);
    });
    const fresh = install('watched-new', renewed);
    renameSync(fresh.key, tls.key);
    renameSync(fresh.certificate, tls.certificate);
    expect(String(await applied)).toBe(renewed.cert);
  });
});
