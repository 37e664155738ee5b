import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PrivateRegistry, passwords, startPrivateRegistry } from '../auth/private-registry.ts';
import { requireTool } from '../harness/require-tool.ts';
import { type RunResult, run } from '../harness/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { busyboxImage } from './busybox-image.ts';
import { type Command, createCommand } from './command.ts';
import { type Containerd, startContainerd } from './containerd-daemon.ts';
import { unmountBelow } from './daemon.ts';
import { type Docker, startDocker } from './docker-daemon.ts';
import { useGoTool } from './go-tool.ts';
import { writeOciLayout } from './raw/oci-layout.ts';

/* Real clients at a registry with its own token server: public, private, right, wrong and expired. */

const crane = useGoTool('crane');
const oras = useGoTool('oras');
let registry: PrivateRegistry;
let folder: TemporaryFolder;

const at = (name: string) => join(folder.path, name);
const remote = (name: string) => `${registry.server.host}/${name}`;
const [user, password] = ['writer', passwords.writer];

beforeAll(async () => {
  folder = await temporaryFolder('berth-auth-clients-');
  registry = await startPrivateRegistry();
  await writeOciLayout(at('layout'), { image: await busyboxImage('run after login') });
  await writeFile(at('root.json'), authFile('root', passwords.root));
  for (const name of ['public/app', 'team/app']) {
    const copied = await skopeo('copy', '--dest-authfile', at('root.json'), ...to(name));
    expect(copied.code, copied.stderr).toBe(0);
  }
});

afterAll(async () => {
  await registry?.stop();
  if (folder === undefined) return;
  await unmountBelow(folder.path);
  await folder.remove();
});

function authFile(user: string, password: string): string {
  const auth = Buffer.from(`${user}:${password}`).toString('base64');
  return JSON.stringify({ auths: { [registry.server.host]: { auth } } });
}

const skopeo = (...args: string[]) => run(requireTool('skopeo'), ['--insecure-policy', ...args]);
const to = (name: string) => ['--dest-tls-verify=false', `oci:${at('layout')}:image`, `docker://${remote(name)}:v1`];

describe('docker', () => {
  let daemon: Docker;
  const login = (name: string, secret: string): Promise<RunResult> =>
    daemon.run(['login', '--username', name, '--password-stdin', registry.server.host], `${secret}\n`);

  beforeAll(async () => {
    daemon = await startDocker();
  });
  afterAll(() => daemon?.stop());

  test('pulls what is public without a login, and nothing else', async () => {
    await daemon.docker('pull', remote('public/app:v1'));
    expect(await daemon.docker('run', '--rm', '--network', 'none', remote('public/app:v1'))).toBe('run after login');
    await expect(daemon.docker('pull', remote('team/app:v1'))).rejects.toThrow(/pull access denied|unauthorized/);
    await daemon.docker('tag', remote('public/app:v1'), remote('team/new:v1'));
    await expect(daemon.docker('push', remote('team/new:v1'))).rejects.toThrow(/denied|unauthorized|no basic auth/);
  });

  test('does not log in with a wrong password, and is told why', async () => {
    const { code, stderr } = await login(user, 'wrong');
    expect(code).not.toBe(0);
    expect(stderr).toContain('incorrect username or password');
  });

  test('logs in, and keeps a login instead of the password', async () => {
    expect((await login(user, password)).stdout).toContain('Login Succeeded');
    const kept = JSON.parse(await readFile(daemon.configFile, 'utf8')).auths[registry.server.host];
    expect(kept.identitytoken).toMatch(/^eyJ/);
    expect(Buffer.from(kept.auth, 'base64').toString()).not.toContain(password);
  });

  test('pushes and pulls what is private, and mounts layers', async () => {
    const pushed = await daemon.docker('push', remote('team/new:v1'));
    expect(pushed).toMatch(/Mounted from public\/app|Pushed/);
    await daemon.docker('rmi', remote('team/new:v1'));
    await daemon.docker('pull', remote('team/new:v1'));
    await daemon.docker('pull', remote('team/app:v1'));
  });

  test('is denied what is others’', async () => {
    await daemon.docker('tag', remote('public/app:v1'), remote('alice/app:v1'));
    await expect(daemon.docker('push', remote('alice/app:v1'))).rejects.toThrow(/denied/);
  });

  test('finds what it may pull', async () => {
    const found = await daemon.docker('search', `${registry.server.host}/app`);
    expect(found).toContain('public/app');
    expect(found).toContain('team/app');
  });

  test('builds on what is private with BuildKit', async () => {
    await mkdir(at('build'));
    await writeFile(at('build/Dockerfile'), `FROM ${remote('team/app:v1')}\nCOPY Dockerfile /Dockerfile\n`);
    await daemon.docker(
      'rmi',
      remote('team/app:v1'),
      remote('public/app:v1'),
      remote('team/new:v1'),
      remote('alice/app:v1'),
    );
    await daemon.buildkit('build', '--tag', remote('team/built:v1'), at('build'));
    await daemon.docker('push', remote('team/built:v1'));
    await daemon.docker('pull', remote('team/app:v1'));
    await daemon.docker('tag', remote('team/app:v1'), remote('team/new:v1'));
  });

  test('logs out', async () => {
    await daemon.docker('logout', registry.server.host);
    await daemon.docker('rmi', remote('team/app:v1'));
    expect(await daemon.docker('search', `${registry.server.host}/app`)).not.toContain('team/app');
    await expect(daemon.docker('pull', remote('team/app:v1'))).rejects.toThrow(/denied|unauthorized/);
  });

  test('logs in with an access token, until it is revoked', async () => {
    const args = ['token', 'create', '--name', 'docker', '--repository', 'team/**', '--actions', 'pull,push'];
    const token = (await registry.berth(args)).trim();
    expect((await login('ci', token)).stdout).toContain('Login Succeeded');
    await daemon.docker('push', remote('team/new:v1'));
    await registry.berth(['token', 'revoke', 'docker']);
    await delay(11_000);
    await expect(daemon.docker('push', remote('team/new:v1'))).rejects.toThrow(/unauthorized|denied|expired/);
    await daemon.docker('logout', registry.server.host);
  });
});

describe('containerd', () => {
  let containerd: Containerd;
  let ctr: Command;
  const plain = '--plain-http';
  const snapshotter = ['--snapshotter', 'native'];

  beforeAll(async () => {
    await mkdir(at('containerd'));
    containerd = await startContainerd(at('containerd'));
    ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth']);
  });
  afterAll(() => containerd?.stop());

  test('pulls what is public without a login, and nothing else', async () => {
    await ctr('images', 'pull', plain, ...snapshotter, remote('public/app:v1'));
    await expect(ctr('images', 'pull', plain, ...snapshotter, remote('team/app:v1'))).rejects.toThrow(/authoriz/);
  });

  test('pulls and pushes with a password, and not with a wrong one', async () => {
    const as = (secret: string) => ['--user', `${user}:${secret}`];
    await ctr('images', 'pull', plain, ...as(password), ...snapshotter, remote('team/app:v1'));
    await ctr('images', 'push', plain, ...as(password), remote('team/ctr:v1'), remote('team/app:v1'));
    await expect(
      ctr('images', 'push', plain, ...as('wrong'), remote('team/ctr:v2'), remote('team/app:v1')),
    ).rejects.toThrow(/401|authoriz/);
  });
});

describe('skopeo', () => {
  const file = () => ['--authfile', at('skopeo.json')];

  test('logs in with the right password only', async () => {
    await writeFile(at('skopeo.json'), '{}');
    const login = (secret: string) =>
      skopeo('login', ...file(), '--tls-verify=false', '--username', user, '--password', secret, registry.server.host);
    expect((await login('wrong')).code).not.toBe(0);
    expect((await login(password)).stdout).toContain('Login Succeeded');
  });

  test('copies what is private with the login, and nothing without', async () => {
    const copy = (...args: string[]) =>
      skopeo(
        'copy',
        ...args,
        '--src-tls-verify=false',
        '--dest-tls-verify=false',
        `docker://${remote('team/app:v1')}`,
        `docker://${remote('team/copy:v1')}`,
      );
    expect((await copy('--src-no-creds', '--dest-no-creds')).stderr).toMatch(
      /unauthorized|denied|authentication required/,
    );
    const copied = await copy('--src-authfile', at('skopeo.json'), '--dest-authfile', at('skopeo.json'));
    expect(copied.code, copied.stderr).toBe(0);
    const inspected = await skopeo(
      'inspect',
      '--no-creds',
      '--tls-verify=false',
      `docker://${remote('public/app:v1')}`,
    );
    expect(inspected.code, inspected.stderr).toBe(0);
  });
});

describe('podman', () => {
  let podman: (...args: string[]) => Promise<RunResult>;

  beforeAll(async () => {
    await writeFile(at('registries.conf'), 'unqualified-search-registries = []\n');
    await writeFile(at('podman.json'), '{}');
    const env = { CONTAINERS_REGISTRIES_CONF: at('registries.conf'), REGISTRY_AUTH_FILE: at('podman.json') };
    const storage = [
      '--root',
      at('podman-root'),
      '--runroot',
      at('podman-run'),
      '--storage-driver',
      'vfs',
      '--tmpdir',
      at('podman-tmp'),
    ];
    podman = (...args) => run(requireTool('podman'), [...storage, '--events-backend', 'file', ...args], { env });
  });

  test('logs in, pulls, pushes and logs out', async () => {
    const insecure = '--tls-verify=false';
    expect((await podman('pull', insecure, remote('public/app:v1'))).code).toBe(0);
    expect((await podman('pull', insecure, remote('team/app:v1'))).code).not.toBe(0);
    const login = (secret: string) =>
      podman('login', insecure, '--username', user, '--password', secret, registry.server.host);
    expect((await login('wrong')).code).not.toBe(0);
    expect((await login(password)).stdout).toContain('Login Succeeded');
    const pulled = await podman('pull', insecure, remote('team/app:v1'));
    expect(pulled.code, pulled.stderr).toBe(0);
    const pushed = await podman('push', insecure, remote('team/app:v1'), remote('team/podman:v1'));
    expect(pushed.code, pushed.stderr).toBe(0);
    // It sends no credentials with a search, whoever is logged in.
    const { stdout: found } = await podman('search', insecure, `${registry.server.host}/app`);
    expect(found).toContain('public/app');
    expect(found).not.toContain('team/app');
    await podman('logout', registry.server.host);
    expect((await podman('pull', insecure, remote('team/podman:v1'))).code).not.toBe(0);
  });
});

test('crane logs in and copies', async () => {
  const env = { DOCKER_CONFIG: at('crane') };
  const command = createCommand(crane.path, [], { env });
  await expect(command('digest', remote('team/app:v1'))).rejects.toThrow(/UNAUTHORIZED|unauthorized/);
  await command('digest', remote('public/app:v1'));
  await command('auth', 'login', registry.server.host, '--username', user, '--password', password);
  await command('copy', remote('team/app:v1'), remote('team/crane:v1'));
  expect(await command('digest', remote('team/crane:v1'))).toBe(await command('digest', remote('team/app:v1')));
  await expect(command('copy', remote('team/app:v1'), remote('alice/crane:v1'))).rejects.toThrow(
    /UNAUTHORIZED|DENIED|denied/i,
  );
});

test('oras logs in and pushes', async () => {
  await writeFile(at('file.txt'), 'a file');
  await mkdir(at('oras'), { recursive: true });
  const env = { DOCKER_CONFIG: at('oras') };
  const oras_ = createCommand(oras.path, [], { env, cwd: folder.path });
  const plain = '--plain-http';
  await expect(oras_('push', plain, remote('team/oras:v1'), 'file.txt:text/plain')).rejects.toThrow(
    /unauthorized|denied/i,
  );
  const wrong = await run(
    oras.path,
    ['login', plain, '--username', user, '--password', 'wrong', registry.server.host],
    { env },
  );
  expect(wrong.code).not.toBe(0);
  await oras_('login', plain, '--username', user, '--password', password, registry.server.host);
  await oras_('push', plain, remote('team/oras:v1'), 'file.txt:text/plain');
  await copyFile(at('file.txt'), at('file.before'));
  await oras_('pull', plain, '--output', at('pulled'), remote('team/oras:v1'));
  expect(await readFile(join(at('pulled'), 'file.txt'), 'utf8')).toBe('a file');
});
