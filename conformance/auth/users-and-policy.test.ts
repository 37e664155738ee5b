import { chmod, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createHttpClient } from '../harness/http-client.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { berthCommand, type Server, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type PrivateRegistry, policy, startPrivateRegistry } from './private-registry.ts';
import { addUser } from './users.ts';

/* Users, policy and keys as administrators change them: by command, by file, by signal, while the registry runs. */

const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** Waits for what a running registry takes over within a second or two. */
const eventually = (check: () => Promise<void>) => vi.waitFor(check, { timeout: 10_000, interval: 100 });

describe('auth.htpasswd', () => {
  let folder: TemporaryFolder;
  let server: Server;
  let users: string;
  const ping = async (authorization?: string) => {
    const client = createHttpClient(server.url);
    const headers = authorization === undefined ? {} : { Authorization: authorization };
    const reply = await client.request('GET', '/v2/', { headers });
    client.close();
    return reply;
  };

  beforeAll(async () => {
    folder = await temporaryFolder('berth-htpasswd-');
    users = join(folder.path, 'users');
    await addUser(users, 'alice', 'one');
    server = await startBerth({ config: { auth: { htpasswd: { realm: 'our registry', path: users } } } });
  });
  afterAll(async () => {
    await server?.stop();
    await folder?.remove();
  });

  test('asks with Basic, and lets in who has the password', async () => {
    const refused = await ping();
    expect(refused.status).toBe(401);
    expect(refused.header('www-authenticate')).toBe('Basic realm="our registry"');
    expect(refused.json()).toMatchObject({ errors: [{ code: 'UNAUTHORIZED' }] });
    expect((await ping(basic('alice', 'one'))).status).toBe(200);
    expect((await ping(basic('alice', 'two'))).status).toBe(401);
    expect((await ping(basic('bob', 'one'))).status).toBe(401);
    expect((await ping('Bearer x')).header('www-authenticate')).toBe('Basic realm="our registry"');
  });

  test('has no token server', async () => {
    const client = createHttpClient(server.url);
    const reply = await client.request('GET', '/auth/token', { headers: { Authorization: basic('alice', 'one') } });
    expect(reply.status).toBe(404);
    client.close();
  });

  test('takes over a file that was changed in place, replaced, or written by the htpasswd of Apache', async () => {
    await run(requireTool('htpasswd'), ['-bB', users, 'bob', 'two']);
    await eventually(async () => expect((await ping(basic('bob', 'two'))).status).toBe(200));
    const text = await readFile(users, 'utf8');
    await writeFile(`${users}.new`, text.replace(/^alice:.*\n/m, ''));
    await rename(`${users}.new`, users);
    await eventually(async () => expect((await ping(basic('alice', 'one'))).status).toBe(401));
    expect((await ping(basic('bob', 'two'))).status).toBe(200);
  });

  test('keeps the users when the file is broken or gone, and says so', async () => {
    const text = await readFile(users, 'utf8');
    await writeFile(users, 'no entry');
    await eventually(async () => expect(server.logs()).toMatch(/users in .* cannot be used; those .* stay.*line 1/));
    expect((await ping(basic('bob', 'two'))).status).toBe(200);
    await rm(users);
    await eventually(async () => expect(server.logs()).toMatch(/there is no such file/));
    expect((await ping(basic('bob', 'two'))).status).toBe(200);
    await writeFile(users, text);
  });

  test('does not start without the file, and says how to make it', async () => {
    const missing = join(folder.path, 'missing');
    const start = startBerth({ config: { auth: { htpasswd: { realm: 'x', path: missing } } } });
    await expect(start).rejects.toThrow(
      new RegExp(`auth.htpasswd.path.*there is no such file; make it with: berth htpasswd add ${missing} USER`),
    );
  });
});

describe('auth.builtin', () => {
  let registry: PrivateRegistry;
  let configuration: string;

  beforeEach(async () => {
    registry = await startPrivateRegistry();
    configuration = await readFile(registry.server.configFile, 'utf8');
  });
  afterEach(() => registry?.stop());

  const tags = async (name: string, authorization?: string) =>
    (await registry.request('GET', `/v2/${name}/tags/list`, authorization)).status;
  const change = async (auth: object) => {
    const config = { ...JSON.parse(configuration), auth };
    await writeFile(registry.server.configFile, JSON.stringify(config));
  };

  test.each([
    ['by itself', async () => {}],
    ['at the signal', async () => void process.kill(registry.server.pid, 'SIGHUP')],
  ])('takes over a policy that was changed: %s', async (_, signal) => {
    const token = `Bearer ${await registry.token('bob', 'repository:team/app:pull')}`;
    expect(await tags('team/app', registry.basic('bob'))).toBe(403);
    const rule = { repositories: ['team/**'], who: ['user:bob'], actions: ['pull'] };
    await change({ builtin: { users: registry.usersFile, policy: [...policy, rule] } });
    await signal();
    await eventually(async () => expect(await tags('team/app', registry.basic('bob'))).toBe(404));
    // A token says what was asked for when it was made.
    expect(await tags('team/app', token)).toBe(401);
    const allowed = `Bearer ${await registry.token('bob', 'repository:team/app:pull')}`;
    expect(await tags('team/app', allowed)).toBe(404);
    await change({ builtin: { users: registry.usersFile, policy } });
    await signal();
    await eventually(async () => expect(await tags('team/app', allowed)).toBe(401));
  });

  test('keeps the policy when the file is broken, and says why', async () => {
    await writeFile(registry.server.configFile, '{');
    await eventually(async () => expect(registry.server.logs()).toMatch(/configuration cannot be used.*stays/));
    expect(await tags('team/app', registry.basic('reader'))).toBe(404);
    // A rule that is not what was meant would be one for all repositories.
    const slip = [{ repository: ['public/**'], who: ['anonymous'], actions: ['pull'] }];
    await change({ builtin: { users: registry.usersFile, policy: slip } });
    await eventually(async () => expect(registry.server.logs()).toMatch(/repository is not known; did you mean/));
    expect(await tags('team/app')).toBe(401);
    await change({ builtin: { users: registry.usersFile, policy: [{ who: ['group:nobody'], actions: ['pull'] }] } });
    await eventually(async () => expect(registry.server.logs()).toMatch(/names a group that .* does not have/));
    expect(await tags('team/app', registry.basic('reader'))).toBe(404);
    expect(await tags('team/app')).toBe(401);
  });

  test('drops no request while users and policy are read again', async () => {
    let done = false;
    const pulling = Promise.all(
      Array.from({ length: 4 }, async () => {
        const statuses = new Set<number>();
        while (!done) statuses.add(await tags('team/app', registry.basic('reader')));
        return statuses;
      }),
    );
    for (let count = 0; count < 20; count += 1) {
      await addUser(registry.usersFile, `user${count}`, 'secret');
      process.kill(registry.server.pid, 'SIGHUP');
    }
    done = true;
    for (const statuses of await pulling) expect([...statuses]).toEqual([404]);
  });

  test('a user who is gone has no password, no token and no login any more', async () => {
    const token = `Bearer ${await registry.token('reader', 'repository:team/app:pull')}`;
    const reply = await registry.request('GET', '/auth/token?offline_token=true', registry.basic('reader'));
    const { refresh_token: login } = reply.json() as { refresh_token: string };
    const renew = () => {
      const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: login, service: 'berth' });
      const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
      return registry.request('POST', '/auth/token', undefined, { body: String(body), headers });
    };
    expect((await renew()).status).toBe(200);
    expect(await tags('team/app', token)).toBe(404);
    const [command, ...leading] = berthCommand();
    await run(command, [...leading, 'htpasswd', 'remove', registry.usersFile, 'reader']);
    await eventually(async () => expect(await tags('team/app', token)).toBe(401));
    expect(await tags('team/app', registry.basic('reader'))).toBe(401);
    expect((await renew()).status).toBe(401);
  });

  test('a password that is changed ends the logins with the one before', async () => {
    const reply = await registry.request('GET', '/auth/token?offline_token=true', registry.basic('reader'));
    const { refresh_token: login } = reply.json() as { refresh_token: string };
    await addUser(registry.usersFile, 'reader', 'another');
    await eventually(async () => expect(await tags('team/app', basic('reader', 'another'))).toBe(404));
    const body = new URLSearchParams({ grant_type: 'refresh_token', refresh_token: login, service: 'berth' });
    const headers = { 'Content-Type': 'application/x-www-form-urlencoded' };
    const renewed = await registry.request('POST', '/auth/token', undefined, { body: String(body), headers });
    expect(renewed.status).toBe(401);
  });

  test('keys are rotated with overlap, or taken away with all that they have signed', async () => {
    const ids = async () => {
      const reply = await registry.request('GET', '/auth/jwks.json');
      return (reply.json() as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
    };
    const [first] = await ids();
    const before = `Bearer ${await registry.token('reader', 'repository:team/app:pull')}`;
    const rotated = await registry.berth(['keys', 'rotate', '--overlap', '1h']);
    expect(rotated).toContain(`retired ${first}`);
    expect(await registry.berth(['keys', 'list'])).toMatch(new RegExp(`${first}.*is believed until`));
    expect(await tags('team/app', before)).toBe(404);
    await registry.berth(['keys', 'rotate', '--revoke']);
    // A server that has not looked since the rotation signs with what it knows; a fresh one cannot.
    const server = await startBerth({
      dataDir: registry.server.dataDir,
      config: { auth: { builtin: { users: registry.usersFile, policy } } },
    });
    const client = createHttpClient(server.url);
    const reply = await client.request('GET', '/v2/team/app/tags/list', { headers: { Authorization: before } });
    expect(reply.status).toBe(401);
    client.close();
    await server.stop();
  });

  test('what root makes by command, the user of the registry can read', async () => {
    const { dataDir } = registry.server;
    await run('chown', ['-R', '1234:1234', dataDir]);
    await chmod(dirname(dataDir), 0o755);
    await chmod(dirname(registry.usersFile), 0o755);
    await chmod(registry.usersFile, 0o644);
    await registry.berth(['token', 'create', '--name', 'ci', '--repository', 'team/**']);
    await registry.berth(['keys', 'rotate', '--revoke']);
    const { stdout } = await run('find', [dataDir, '-path', '*_berth/auth*', '-not', '-user', '1234']);
    expect(stdout).toBe('');
  });

  test('keys and tokens are for their owner alone', async () => {
    await registry.berth(['token', 'create', '--name', 'ci', '--repository', 'team/**']);
    const { stdout } = await run('find', [join(registry.server.dataDir, '_berth/auth'), '-type', 'f']);
    const files = stdout.trim().split('\n');
    expect(files.length).toBeGreaterThan(1);
    for (const file of files) expect(((await stat(file)).mode & 0o777).toString(8), file).toBe('600');
  });
});

describe('the commands', () => {
  let folder: TemporaryFolder;
  let users: string;
  const berth = (args: string[], input = '') => {
    const [command, ...leading] = berthCommand();
    return run(command, [...leading, ...args], { input });
  };

  beforeAll(async () => {
    folder = await temporaryFolder('berth-commands-');
    users = join(folder.path, 'users');
  });
  afterAll(() => folder?.remove());

  test('htpasswd adds, verifies, changes and removes', async () => {
    expect(await berth(['htpasswd', 'add', users, 'alice'], 'one\n')).toMatchObject({
      code: 0,
      stdout: 'added alice\n',
    });
    expect(((await stat(users)).mode & 0o777).toString(8)).toBe('640');
    await chmod(users, 0o604);
    expect((await berth(['htpasswd', 'verify', users, 'alice'], 'one')).code).toBe(0);
    expect(await berth(['htpasswd', 'verify', users, 'alice'], 'two')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('wrong password'),
    });
    expect((await berth(['htpasswd', 'add', users, 'alice'], 'two')).stdout).toBe('changed the password of alice\n');
    expect((await berth(['htpasswd', 'verify', users, 'alice'], 'two')).code).toBe(0);
    expect(((await stat(users)).mode & 0o777).toString(8)).toBe('604');
    // What berth writes is what Apache's program reads.
    const apache = await run(requireTool('htpasswd'), ['-vb', users, 'alice', 'two']);
    expect(apache.code, apache.stderr).toBe(0);
    expect((await berth(['htpasswd', 'remove', users, 'alice'])).code).toBe(0);
    expect(await berth(['htpasswd', 'remove', users, 'alice'])).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`there is no user alice in ${users}`),
    });
  });

  test.each([
    [['htpasswd', 'add', '/nonexistent/users', 'alice'], 'secret', /there is no folder \/nonexistent; make it first/],
    [['htpasswd', 'add', 'FILE', 'a:b'], 'secret', /without colons/],
    [['htpasswd', 'add', 'FILE', 'alice'], '', /no password on standard input/],
    [['htpasswd', 'add', 'FILE', 'alice'], '\n', /must not be empty/],
    [['htpasswd', 'add', 'FILE', 'alice'], 'x'.repeat(73), /more than 72 bytes/],
    [['htpasswd', 'add', 'FILE', 'alice', 'secret'], '', /too many arguments/],
  ])('a mistake is told, and changes nothing: %j', async (args, input, message) => {
    const { code, stderr } = await berth(
      args.map((arg) => (arg === 'FILE' ? users : arg)),
      input,
    );
    expect(code).not.toBe(0);
    expect(stderr).toMatch(message);
    expect(stderr).not.toMatch(/\n\s+at /);
  });

  test('token, policy and keys say what they need when there is no token server', async () => {
    const file = join(folder.path, 'open.yml');
    await writeFile(file, `version: 0.1\nstorage: {filesystem: {rootdirectory: ${folder.path}/data}}\n`);
    for (const args of [
      ['token', 'list'],
      ['keys', 'list'],
      ['policy', 'explain', '--repository', 'a', '--action', 'pull'],
    ]) {
      const { code, stderr } = await berth([...args, '--config', file]);
      expect(code).toBe(1);
      expect(stderr).toContain('auth.builtin');
    }
  });

  test('token create, list and revoke; policy explain', async () => {
    const registry = await startPrivateRegistry();
    const created = (
      await registry.berth(['token', 'create', '-n', 'ci', '-r', 'team/**', '-a', 'pull,push', '-e', '90d'])
    ).trim();
    expect(created).toMatch(/^berth_[0-9A-Za-z]{55}$/);
    await expect(registry.berth(['token', 'create', '-n', 'ci', '-r', 'x'])).rejects.toThrow('there is a token ci');
    await expect(registry.berth(['token', 'create', '-n', 'a b', '-r', 'x'])).rejects.toThrow('lower-case letters');
    const push = () => registry.request('POST', '/v2/team/app/blobs/uploads/', basic('anything', created));
    expect((await push()).status).toBe(202);
    const list = async () => JSON.parse(await registry.berth(['token', 'list', '--json']));
    await eventually(async () =>
      expect(await list()).toEqual([expect.objectContaining({ name: 'ci', lastUsed: expect.any(String) })]),
    );
    expect(await registry.berth(['token', 'list'])).not.toContain(created.slice(-20));
    const explained = await registry.berth(['policy', 'explain', '-t', 'ci', '-r', 'team/app', '-a', 'push']);
    expect(explained).toContain('token:ci may push team/app');
    await registry.berth(['token', 'revoke', 'ci']);
    await eventually(async () => expect((await push()).status).toBe(401));
    expect(await list()).toEqual([]);
    await expect(registry.berth(['token', 'revoke', 'ci'])).rejects.toThrow('there is no token ci');
    for (const [args, message] of [
      [['-r', 'x', '-e', '0s'], 'more than nothing'],
      [['-r', '{name}/**'], 'means something with --user only'],
      [['-u', 'nosuch'], 'there is no user nosuch'],
      [
        ['-r', ...Array.from({ length: 100 }, (_, index) => `a-team-with-a-long-name-${index}/**`)],
        'characters together',
      ],
    ] as const) {
      await expect(registry.berth(['token', 'create', '-n', 'odd', ...args])).rejects.toThrow(message);
    }

    const explain = (...args: string[]) => registry.berth(['policy', 'explain', ...args]);
    expect(await explain('--user', 'writer', '--repository', 'team/app', '--action', 'push')).toMatch(
      /^user:writer may push team\/app\n.*rule 3 .*: allows it/s,
    );
    expect(await explain('-r', 'public/app', '-a', 'pull')).toContain('anonymous may pull public/app');
    await expect(explain('--user', 'bob', '-r', 'team/app', '-a', 'pull')).rejects.toThrow(
      /ended with 1\nuser:bob may not pull team\/app/,
    );
    await registry.stop();
  });
});
