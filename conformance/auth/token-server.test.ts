import { spawn } from 'node:child_process';
import { createPublicKey, randomBytes } from 'node:crypto';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../clients/busybox-image.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { atExit } from '../harness/at-exit.ts';
import { createHttpClient } from '../harness/http-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { freePort, type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';

/* `auth.token`: tokens come from another program, which shares no code with berth. */

const program = fileURLToPath(new URL('token_server.py', import.meta.url));

let folder: TemporaryFolder;
const at = (name: string) => join(folder.path, name);

async function startTokenServer(namedBy: string): Promise<{ realm: string; stop(): void }> {
  const port = await freePort();
  // Debian's, which has the packages of Debian.
  const child = spawn('/usr/bin/python3', [program, String(port), at('key.pem'), at('certificate.pem'), namedBy], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const forget = atExit(() => child.kill('SIGKILL'));
  let errors = '';
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const client = createHttpClient(`http://127.0.0.1:${port}`);
  for (let tries = 0; ; tries += 1) {
    const answered = await client.request('GET', '/?service=x').catch(() => undefined);
    if (answered !== undefined) break;
    if (child.exitCode !== null || tries > 200) throw new Error(`the token server did not start\n${errors}`);
    await delay(50);
  }
  client.close();
  return {
    realm: `http://127.0.0.1:${port}/`,
    stop() {
      child.kill('SIGKILL');
      forget();
    },
  };
}

beforeAll(async () => {
  folder = await temporaryFolder('berth-token-server-');
  await writeOciLayout(at('layout'), { image: await busyboxImage('run with a token from elsewhere') });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-keyout', at('key.pem')];
  const subject = ['-subj', '/CN=token server', '-days', '2'];
  const made = await run('openssl', ['req', '-x509', ...key, ...subject, '-out', at('certificate.pem')]);
  expect(made.code, made.stderr).toBe(0);
});
afterAll(() => folder?.remove());

const kid = randomBytes(8).toString('hex');

describe.each([
  ['a certificate in the token', 'x5c', () => ({ rootcertbundle: at('certificate.pem') })],
  ['a key set and key ids', kid, () => ({ jwks: at('keys.json') })],
])('%s', (_, namedBy, trust) => {
  let tokens: Awaited<ReturnType<typeof startTokenServer>>;
  let server: Server;

  beforeAll(async () => {
    const jwk = createPublicKey(await readFile(at('key.pem'))).export({ format: 'jwk' });
    await writeFile(at('keys.json'), JSON.stringify({ keys: [{ ...jwk, kid, alg: 'ES256', use: 'sig' }] }));
    tokens = await startTokenServer(namedBy);
    server = await startBerth({
      config: {
        auth: { token: { realm: tokens.realm, service: 'our registry', issuer: 'the token server', ...trust() } },
      },
    });
  });
  afterAll(async () => {
    await server?.stop();
    tokens?.stop();
  });

  const copy = (user: string, tag: string) =>
    run(requireTool('skopeo'), [
      '--insecure-policy',
      'copy',
      '--dest-tls-verify=false',
      '--dest-creds',
      user,
      `oci:${at('layout')}:image`,
      `docker://${server.host}/team/app:${tag}`,
    ]);

  test('says where tokens are', async () => {
    const client = createHttpClient(server.url);
    const reply = await client.request('GET', '/v2/team/app/tags/list');
    expect(reply.status).toBe(401);
    expect(reply.header('www-authenticate')).toBe(
      `Bearer realm="${tokens.realm}",service="our registry",scope="repository:team/app:pull"`,
    );
    client.close();
  });

  test('a client pushes and pulls with what it is granted, and no more', async () => {
    const pushed = await copy('writer:writer', 'v1');
    expect(pushed.code, pushed.stderr).toBe(0);
    const inspect = (user: string) =>
      run(requireTool('skopeo'), [
        'inspect',
        '--tls-verify=false',
        '--creds',
        user,
        `docker://${server.host}/team/app:v1`,
      ]);
    const inspected = await inspect('reader:reader');
    expect(inspected.code, inspected.stderr).toBe(0);
    expect((await copy('reader:reader', 'v2')).stderr).toMatch(/unauthorized|denied|authentication required/);
    expect((await inspect('nobody:nobody')).code).not.toBe(0);
    expect((await inspect('reader:wrong')).code).not.toBe(0);
  });
});

test('keys that are changed on the token server are taken over', async () => {
  const jwkOf = async (file: string, id: string) => ({
    ...createPublicKey(await readFile(file)).export({ format: 'jwk' }),
    kid: id,
  });
  await writeFile(at('changing.json'), JSON.stringify({ keys: [await jwkOf(at('key.pem'), 'other')] }));
  const tokens = await startTokenServer('one');
  const server = await startBerth({
    config: {
      auth: {
        token: { realm: tokens.realm, service: 'x', issuer: 'the token server', jwks: at('changing.json') },
      },
    },
  });
  const issuer = createHttpClient(tokens.realm.replace(/\/$/, ''));
  const client = createHttpClient(server.url);
  const headers = { Authorization: `Basic ${Buffer.from('reader:reader').toString('base64')}` };
  const reply = await issuer.request('GET', '/?service=x&scope=repository:team/app:pull', { headers });
  const { token } = reply.json() as { token: string };
  const status = async () =>
    (await client.request('GET', '/v2/team/app/tags/list', { headers: { Authorization: `Bearer ${token}` } })).status;
  expect(await status()).toBe(401);
  await writeFile(at('changing.json'), JSON.stringify({ keys: [await jwkOf(at('key.pem'), 'one')] }));
  for (let tries = 0; tries < 50 && (await status()) !== 404; tries += 1) await delay(100);
  expect(await status()).toBe(404);
  client.close();
  issuer.close();
  await server.stop();
  tokens.stop();
});
