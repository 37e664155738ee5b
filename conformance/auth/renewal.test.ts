import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { Transform } from 'node:stream';
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createCommand } from '../clients/command.ts';
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

  const docker = await startDocker();
  const image = `${host}/team/docker:v1`;
  const archive = join(folder.path, 'image.tar');
  await docker.docker('import', join(folder.path, 'layer.tar'), image);
  await docker.docker('save', '--output', archive, image);

  const pushWithDocker = async () => {
    const login = await docker.run(['login', '--username', user, '--password-stdin', host], `${password}\n`);
    expect(login.code, login.stderr).toBe(0);
    await docker.docker('push', image);
  };

  const pushWithCrane = async () => {
    const env = { DOCKER_CONFIG: join(folder.path, 'crane') };
    const login = ['auth', 'login', host, '--username', user, '--password', password];
    expect((await run(crane.path, login, { env })).code).toBe(0);
    const pushed = await run(crane.path, ['push', archive, `${host}/team/crane:v1`], { env });
    expect(pushed.code, pushed.stderr).toBe(0);
  };

  const pushWithSkopeo = async () => {
    const login = ['--dest-tls-verify=false', '--dest-creds', `${user}:${password}`];
    const copy = ['copy', ...login, `docker-archive:${archive}`, `docker://${host}/team/skopeo:v1`];
    const pushed = await run(requireTool('skopeo'), ['--insecure-policy', ...copy]);
    expect(pushed.code, pushed.stderr).toBe(0);
  };

  const pushWithContainerd = async () => {
    await mkdir(join(folder.path, 'containerd'));
    const containerd = await startContainerd(join(folder.path, 'containerd'));
    const ctr = createCommand(requireTool('ctr'), ['--address', containerd.address, '--namespace', 'berth', 'images']);
    await ctr('import', '--snapshotter', 'native', archive);
    await ctr('push', '--plain-http', '--user', `${user}:${password}`, `${host}/team/ctr:v1`, image);
    await containerd.stop();
  };

  await Promise.all([pushWithCrane(), pushWithDocker(), pushWithSkopeo(), pushWithContainerd()]);
  await docker.stop();
  expect(Date.now() - begun).toBeGreaterThan(125_000);
  for (const name of ['crane', 'docker', 'skopeo', 'ctr']) {
    const reply = await registry.request('GET', `/v2/team/${name}/tags/list`, registry.basic('reader'));
    expect(reply.json(), name).toMatchObject({ tags: ['v1'] });
  }
  // Each asks before the layer, and again after it. The log is written a moment later.
  await delay(2_000);
  const lines = registry.server
    .logs()
    .split('\n')
    .filter((entry) => / \/auth\/token[? ]/.test(entry));
  for (const client of ['docker/', 'crane', 'skopeo/', 'containerd/']) {
    const times = lines.filter((entry) => entry.includes(client)).map((entry) => timeOf(entry));
    expect(Math.max(...times) - Math.min(...times), `${client}\n${lines.join('\n')}`).toBeGreaterThan(60_000);
  }
});

/** Of a line of the access log, `[21/Nov/2026:08:12:17 +0000]`, in milliseconds. */
function timeOf(entry: string): number {
  const [, day, time] = /\[([^:]+):(\S+) /.exec(entry) ?? [];
  return Date.parse(`${day?.replaceAll('/', ' ')} ${time} UTC`);
}
