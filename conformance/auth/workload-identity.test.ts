import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { busyboxImage } from '../clients/busybox-image.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Audience, type Issuer, startIssuer } from './issuer.ts';
import { type PrivateRegistry, startPrivateRegistry } from './private-registry.ts';

/* A CI job logs in with the token that its CI system gives it. Nobody has stored a password. */

let issuer: Issuer;
let registry: PrivateRegistry;
const audience = 'https://registry.example';
const claims = { repository: 'our-org/app', ref: 'refs/heads/main' };

beforeAll(async () => {
  issuer = await startIssuer();
  registry = await startPrivateRegistry({
    issuers: [
      {
        name: 'ci',
        issuer: issuer.url,
        audience: [audience],
        require: { repository: 'our-org/*', ref: 'refs/heads/main' },
        subject: '{repository}',
      },
    ],
    policy: [{ repositories: ['team/**'], who: ['oidc:ci:our-org/app'], actions: ['push'] }],
  });
});
afterAll(async () => {
  await registry?.stop();
  await issuer?.stop();
});

const push = (token: string) => registry.request('POST', '/v2/team/app/blobs/uploads/', registry.basic('ci', token));
const tokenFor = (over: object = {}, forWhom: Audience = audience) =>
  issuer.token(forWhom, 'repo:our-org/app:ref:refs/heads/main', { ...claims, ...over });

test('the token of a job is its password', async () => {
  expect((await push(await tokenFor())).status).toBe(202);
  const reply = await registry.request(
    'GET',
    '/auth/token?service=berth&offline_token=true&scope=repository:team/app:push,pull',
    registry.basic('ci', await tokenFor()),
  );
  expect(reply.status, String(reply)).toBe(200);
  const { token, refresh_token: login } = reply.json() as { token: string; refresh_token?: string };
  // It is good for minutes, and does not become a login that is good for months.
  expect(login).toBeUndefined();
  const begun = await registry.request('POST', '/v2/team/app/blobs/uploads/', `Bearer ${token}`);
  expect(begun.status).toBe(202);
});

test('a client logs in with it', async () => {
  const folder: TemporaryFolder = await temporaryFolder();
  await writeOciLayout(join(folder.path, 'layout'), { image: await busyboxImage('pushed by a job') });
  const skopeo = requireTool('skopeo');
  const authfile = ['--authfile', join(folder.path, 'auth.json')];
  const login = await run(
    skopeo,
    ['login', ...authfile, '--tls-verify=false', '--username', 'ci', '--password-stdin', registry.server.host],
    { input: await tokenFor() },
  );
  expect(login.stdout, login.stderr).toContain('Login Succeeded');
  const copied = await run(skopeo, [
    '--insecure-policy',
    'copy',
    ...authfile,
    '--dest-tls-verify=false',
    `oci:${join(folder.path, 'layout')}:image`,
    `docker://${registry.server.host}/team/app:job`,
  ]);
  expect(copied.code, copied.stderr).toBe(0);
  await folder.remove();
});

test.each([
  ['for another audience', () => tokenFor({}, 'https://another.example')],
  ['of another project', () => tokenFor({ repository: 'their-org/app' })],
  ['of another branch', () => tokenFor({ ref: 'refs/heads/feature' })],
  ['with a name that only begins like ours', () => tokenFor({ repository: 'our-org/app/../../x' })],
  ['without a claim that is required', () => tokenFor({ ref: undefined })],
])('a token %s is refused', async (_, token) => {
  const reply = await push(await token());
  expect(reply.status, String(reply)).toBe(401);
});

test('a job of ours that the policy does not name may nothing', async () => {
  expect((await push(await tokenFor({ repository: 'our-org/other' }))).status).toBe(403);
});

test('a token whose signature is not that of the issuer is refused', async () => {
  const [header, payload, signature = ''] = (await tokenFor()).split('.');
  const broken = `${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
  expect((await push(`${header}.${payload}.${broken}`)).status).toBe(401);
  const none = Buffer.from(JSON.stringify({ alg: 'none' })).toString('base64url');
  expect((await push(`${none}.${payload}.`)).status).toBe(401);
});

describe('the keys of the issuer', () => {
  test('are asked for once, not for every login', async () => {
    const before = issuer.asked();
    for (let count = 0; count < 20; count += 1) expect((await push(await tokenFor())).status).toBe(202);
    expect(issuer.asked()).toEqual(before);
  });

  test('that it has changed are asked for again, but not by whoever likes', async () => {
    issuer.rotate();
    const before = issuer.asked().keys;
    for (let tries = 0; tries < 80; tries += 1) {
      if ((await push(await tokenFor())).status === 202) break;
      await delay(500);
    }
    expect((await push(await tokenFor())).status).toBe(202);
    expect(issuer.asked().keys - before).toBeLessThanOrEqual(2);
  });

  test('serve on when the issuer does not answer', async () => {
    const [known, fresh] = [await tokenFor(), await tokenFor({ run: 2 })];
    expect((await push(known)).status).toBe(202);
    await issuer.stop();
    expect((await push(fresh)).status).toBe(202);
  });
});

test('a client certificate is an identity', async () => {
  const folder = await temporaryFolder();
  const at = (name: string) => join(folder.path, name);
  const openssl = (...args: string[]) => {
    const { status, stderr } = spawnSync('openssl', args, { cwd: folder.path, encoding: 'utf8' });
    if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`);
  };
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=our authority', '-days', '2');
  const issue = (name: string, extension: string, authority = 'ca') => {
    openssl('req', ...key, '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/O=x/CN=${name}`);
    spawnSync('sh', ['-c', `printf '%s' '${extension}' > ${name}.ext`], { cwd: folder.path });
    const by = ['-CA', `${authority}.pem`, '-CAkey', `${authority}.key`, '-CAcreateserial', '-days', '2'];
    openssl('x509', '-req', '-in', `${name}.csr`, ...by, '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  };
  issue('server', 'subjectAltName=IP:127.0.0.1');
  issue('robot', 'subjectAltName=DNS:robot.example');
  issue('stranger', 'subjectAltName=DNS:stranger.example');
  openssl('req', '-x509', ...key, '-keyout', 'own.key', '-out', 'own.pem', '-subj', '/CN=own', '-days', '2');
  issue('forged', 'subjectAltName=DNS:robot.example', 'own');

  const statusOf = async (url: string, certificate: string | undefined, path: string) => {
    const own =
      certificate === undefined ? [] : ['--cert', at(`${certificate}.pem`), '--key', at(`${certificate}.key`)];
    const args = ['-s', '--http1.1', '--cacert', at('ca.pem'), ...own, '-o', '/dev/null', '-w', '%{http_code}'];
    return (await run(requireTool('curl'), [...args, '-X', 'POST', `${url}${path}`])).stdout;
  };
  const upload = '/v2/team/app/blobs/uploads/';

  for (const clientauth of ['verify-client-cert-if-given', 'request-client-cert']) {
    const tls = { certificate: at('server.pem'), key: at('server.key'), clientcas: [at('ca.pem')], clientauth };
    const secured = await startPrivateRegistry(
      {
        certificates: 'dns',
        policy: [{ repositories: ['team/**'], who: ['certificate:robot.example'], actions: ['push'] }],
      },
      { config: { http: { tls } } },
    );
    const { url } = secured.server;
    expect(await statusOf(url, 'robot', upload), clientauth).toBe('202');
    expect(await statusOf(url, 'robot', '/v2/alice/app/blobs/uploads/'), clientauth).toBe('401');
    expect(await statusOf(url, 'stranger', upload), clientauth).toBe('401');
    expect(await statusOf(url, undefined, upload), clientauth).toBe('401');
    // `request-client-cert` takes any certificate at the handshake; it proves nothing.
    expect(await statusOf(url, 'forged', upload), clientauth).toBe(
      clientauth === 'request-client-cert' ? '401' : '000',
    );
    await secured.stop();
  }
  await folder.remove();
});
