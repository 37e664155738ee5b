import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createHttpClient } from '../harness/http-client.ts';
import { run } from '../harness/run.ts';
import { berthCommand, startBerth } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';

/** The command lines of berth, and those of distribution's `registry` that it answers to. */
describe('the command line', () => {
  let folder: TemporaryFolder;
  beforeAll(async () => {
    folder = await temporaryFolder();
  });
  afterAll(() => folder.remove());

  const [command, ...first] = berthCommand();
  const berth = (args: string[], env?: Record<string, string>) =>
    run(command, [...first, ...args], { ...(env && { env }) });

  async function configured(text: string): Promise<string> {
    const path = join(folder.path, 'config.yml');
    await writeFile(path, text);
    return path;
  }

  test.each([
    [['--help']],
    [['serve', '--help']],
    [['check-config', '--help']],
    [['purge-uploads', '--help']],
    [['mirror', 'sync', '--help']],
    [['mirror', 'setup', '--help']],
  ])('berth %j explains itself', async (args) => {
    const { code, stdout } = await berth(args);
    expect(code).toBe(0);
    expect(stdout).toContain('Usage: berth');
  });

  test('says its version, and what it does not know', async () => {
    expect((await berth(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+/);
    const { code, stderr } = await berth(['srve']);
    expect(code).not.toBe(0);
    expect(stderr).toContain('srve');
  });

  test('check-config prints what is in effect, without secrets, and where it comes from', async () => {
    const path = await configured('version: 0.1\nstorage: {inmemory: }\nhttp: {secret: hidden-in-the-file}\n');
    const { code, stdout, stderr } = await berth(['check-config', path], { REGISTRY_HTTP_ADDR: ':8080' });
    expect(code).toBe(0);
    expect(stdout).toContain('addr: :8080 # REGISTRY_HTTP_ADDR');
    expect(stdout + stderr).not.toContain('hidden-in-the-file');
  });

  test('check-config and serve name everything that is wrong, and end with 1', async () => {
    const path = await configured(
      'version: 0.1\nstorage: {filesystem: {maxthreads: many}}\nhttp: {addr: 5000}\nauth: {htpasswd: {realm: r}}\n',
    );
    for (const subcommand of ['check-config', 'serve']) {
      const { code, stderr } = await berth([subcommand, path]);
      expect(code).toBe(1);
      for (const key of ['storage.filesystem.maxthreads', 'http.addr', 'auth']) expect(stderr).toContain(key);
      expect(stderr).not.toContain('    at ');
    }
  });

  test('a port that is taken is said in words', async () => {
    const server = await startBerth();
    try {
      const path = await configured(`version: 0.1\nstorage: {inmemory: }\nhttp: {addr: '${server.host}'}\n`);
      const { code, stderr } = await berth(['serve', path]);
      expect(code).toBe(1);
      expect(stderr).toContain(server.host);
      expect(stderr).not.toContain('    at ');
    } finally {
      await server.stop();
    }
  });

  test('purge-uploads says what it would remove, and then removes it, while the server runs', async () => {
    const server = await startBerth();
    try {
      const client = createHttpClient(server.url);
      const started = await client.request('POST', '/v2/user/app/blobs/uploads/');
      const location = new URL(started.header('Location') ?? '', server.url).pathname;
      const patched = await client.request('PATCH', location, { body: Buffer.from('twelve bytes') });
      expect(patched.status).toBe(202);

      const purge = (...options: string[]) => berth(['purge-uploads', ...options, server.configFile]);
      expect((await purge()).stdout).toContain('removed 0 uploads');
      const dry = await purge('--dry-run', '--age', '0s');
      expect(dry.stdout).toContain('user/app');
      expect(dry.stdout).toContain('would remove 1 uploads with 12 bytes');
      expect((await client.request('GET', location)).status).toBe(204);
      expect((await purge('--age', '0s')).stdout).toContain('removed 1 uploads with 12 bytes');
      expect((await client.request('GET', location)).status).toBe(404);
      expect((await purge('--age', 'soon')).stderr).toContain('168h or 7d');
    } finally {
      await server.stop();
    }
  });

  test('a configuration file alone serves with it, as the image of distribution does', async () => {
    const path = await configured('version: 0.2\n');
    const { code, stderr } = await berth([path]);
    expect(code).toBe(1);
    expect(stderr).toContain('version');
  });
});
