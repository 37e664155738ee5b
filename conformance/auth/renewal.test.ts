import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startContainerd } from '../clients/containerd-daemon.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { useGoTool } from '../clients/go-tool.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type PrivateRegistry, passwords, startPrivateRegistry } from './private-registry.ts';

/*
 * A push that takes longer than its token lives. Tokens live for a minute, and servers allow for another one because clocks
 * differ, so a layer of some hundred kilobytes comes over a line that takes more than two minutes for it.
 */

const crane = useGoTool('crane');
const size = 640 * 1024;
/** Bytes in a second. */
const speed = 4.5 * 1024;

let registry: PrivateRegistry;
let folder: TemporaryFolder;
let line: Server;
let host: string;

beforeAll(async () => {
  folder = await temporaryFolder('berth-renewal-');
  registry = await startPrivateRegistry({ tokenlifetime: '1m' });
  const port = Number(registry.server.host.split(':')[1]);
  line = createServer((client) => {
    const server = connect(port, '127.0.0.1');
    // What is short passes at once; a layer does not.
    let sent = 0;
    const slow = new Transform({
      highWaterMark: 4096,
      transform(chunk: Buffer, _, done) {
        sent += chunk.length;
        if (sent < 16_384) done(null, chunk);
        else setTimeout(() => done(null, chunk), (1000 * chunk.length) / speed);
      },
    });
    client.pipe(slow).pipe(server);
    server.pipe(client);
    for (const socket of [client, server]) {
      socket.on('error', () => {
        client.destroy();
        server.destroy();
      });
    }
  });
  await new Promise<void>((resolve) => line.listen(0, '127.0.0.1', resolve));
  host = `127.0.0.1:${(line.address() as AddressInfo).port}`;
  await writeFile(join(folder.path, 'random'), randomBytes(size));
  await run('tar', ['-C', folder.path, '-cf', join(folder.path, 'layer.tar'), 'random']);
});

afterAll(async () => {
  line?.close();
  await registry?.stop();
  await folder?.remove();
});

test('clients whose token expires in the middle of a push ask for another one', { timeout: 600_000 }, async () => {
  const begun = Date.now();
  const [user, password] = ['writer', passwords.writer];

  const pushWithCrane = async () => {
    const env = { DOCKER_CONFIG: join(folder.path, 'crane') };
    const login = ['auth', 'login', host, '--username', user, '--password', password];
    expect((await run(crane.path, login, { env })).code).toBe(0);
    const args = ['append', '--new_layer', join(folder.path, 'layer.tar'), '--new_tag', `${host}/team/crane:v1`];
    const pushed = await run(crane.path, args, { env });
    expect(pushed.code, pushed.stderr).toBe(0);
  };

  const pushWithDocker = async () => {
    const docker = await startDocker();
    const image = `${host}/team/docker:v1`;
    await docker.docker('import', join(folder.path, 'layer.tar'), image);
    const login = await docker.run(['login', '--username', user, '--password-stdin', host], `${password}\n`);
    expect(login.code, login.stderr).toBe(0);
    await docker.docker('push', image);
    await docker.stop();
  };

  const pushWithSkopeo = async () => {
    const layout = join(folder.path, 'layout');
    const made = await run(crane.path, [
      'append',
      '--new_layer',
      join(folder.path, 'layer.tar'),
      '--output',
      join(folder.path, 'image.tar'),
      '--new_tag',
      'image:v1',
    ]);
    expect(made.code, made.stderr).toBe(0);
    await mkdir(layout);
    const pushed = await run(requireTool('skopeo'), [
      '--insecure-policy',
      'copy',
      '--dest-tls-verify=false',
      '--dest-creds',
      `${user}:${password}`,
      `docker-archive:${join(folder.path, 'image.tar')}`,
      `docker://${host}/team/skopeo:v1`,
    ]);
    expect(pushed.code, pushed.stderr).toBe(0);

    // containerd takes the image from the same file.
    await mkdir(join(folder.path, 'containerd'));
    const containerd = await startContainerd(join(folder.path, 'containerd'));
    const ctr = (...args: string[]) =>
      run(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth', 'images', ...args]);
    const imported = await ctr('import', '--snapshotter', 'native', join(folder.path, 'image.tar'));
    expect(imported.code, imported.stderr).toBe(0);
    const name = (await ctr('list', '--quiet')).stdout.trim().split('\n')[0] ?? '';
    const sent = await ctr('push', '--plain-http', '--user', `${user}:${password}`, `${host}/team/ctr:v1`, name);
    expect(sent.code, sent.stderr).toBe(0);
    await containerd.stop();
  };

  await Promise.all([pushWithCrane(), pushWithDocker(), pushWithSkopeo()]);
  expect(Date.now() - begun).toBeGreaterThan(125_000);
  for (const name of ['crane', 'docker', 'skopeo', 'ctr']) {
    const reply = await registry.request('GET', `/v2/team/${name}/tags/list`, registry.basic('reader'));
    expect(reply.json(), name).toMatchObject({ tags: ['v1'] });
  }
  // Two requests for tokens at least for each client: one before and one after.
  const asked = registry.server.logs().match(/"(?:GET|POST) \/auth\/token[^"]*team%2F\w+|"POST \/auth\/token/g) ?? [];
  expect(asked.length).toBeGreaterThanOrEqual(8);
});
