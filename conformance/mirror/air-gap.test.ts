import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { busyboxImage } from '../clients/busybox-image.ts';
import { createCommand } from '../clients/command.ts';
import { startDocker } from '../clients/docker-daemon.ts';
import { useGoTool } from '../clients/go-tool.ts';
import { writeOciLayout } from '../clients/raw/oci-layout.ts';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { projectRoot } from '../harness/project-root.ts';
import { requireTool } from '../harness/require-tool.ts';
import { run } from '../harness/run.ts';
import { berthCommand, startBerth, startDistribution } from '../harness/server.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type CountedUpstream, startUpstream } from './upstream.ts';

/* A site without a network, by the very files that deploy/mirror.md has for it. */

const crane = useGoTool('crane');
let folder: TemporaryFolder;
let upstream: CountedUpstream;
const at = (name: string) => join(folder.path, name);

beforeAll(async () => {
  folder = await temporaryFolder('berth-air-gap-');
  upstream = await startUpstream();
  await writeOciLayout(at('layout'), { image: await busyboxImage('carried in') });
  await upstream.push(`oci:${at('layout')}:image`, 'library/hello:1');
  await upstream.push(`oci:${at('layout')}:image`, 'team/app:1');
});
afterAll(async () => {
  await upstream?.stop();
  await folder?.remove();
});

/** A file that the documentation writes. */
async function documented(name: string): Promise<string> {
  const text = await readFile(join(projectRoot(), 'deploy/mirror.md'), 'utf8');
  const [, file] = new RegExp(`^cat > ${name} <<END\\n([\\s\\S]*?)^END$`, 'm').exec(text) ?? [];
  if (file === undefined) throw new Error(`deploy/mirror.md has no ${name}`);
  return file;
}

test('what was fetched outside is served inside, under the names it has everywhere', async () => {
  const outside = (await documented('outside.yml'))
    .replace('{name: docker.io, ', `{name: docker.io, endpoints: ['${upstream.url}'], `)
    .replace('{name: quay.io', `{name: quay.io, endpoints: ['${upstream.url}']`);
  await writeFile(at('outside.yml'), outside);
  await writeFile(at('images.txt'), 'hello:1\nquay.io/team/app:1\n');
  const [command, ...first] = berthCommand();
  const args = ['mirror', 'sync', '--config', 'outside.yml', '--platform', 'linux/amd64', '--referrers', 'images.txt'];
  const synced = await run(command, [...first, ...args], { cwd: folder.path });
  expect(synced.code, synced.stderr).toBe(0);
  const tar = createCommand(requireTool('tar'), [], { cwd: folder.path });
  await tar('-C', 'images', '-cf', 'images.tar', '.');
  await upstream.down();
  await mkdir(at('inside'));
  await tar('-C', 'inside', '-xf', 'images.tar');

  const config = (await documented('inside.yml')).replace('rootdirectory: images', `rootdirectory: ${at('inside')}`);
  const inside = await startBerth({ config });
  const docker = await startDocker({ mirror: inside.url });
  try {
    await docker.docker('pull', 'hello:1');
    expect(await docker.docker('run', '--rm', '--network', 'none', 'hello:1')).toBe('carried in');
    await docker.docker('pull', `${inside.host}/quay.io/team/app:1`);
  } finally {
    await docker.stop();
  }
  const client = createRegistryClient(inside.url);
  const reply = await client.request('GET', '/v2/team/app/manifests/1?ns=quay.io');
  expect([reply.status, reply.header('warning')]).toEqual([200, undefined]);
  expect((await client.getManifest('quay.io/team/app', 'missing')).status).toBe(503);
  client.close();
  // A client that asks for the manifest before it pushes is told nothing that keeps it from that.
  await createCommand(crane.path)('copy', '--insecure', `${inside.host}/hello:1`, `${inside.host}/own/app:1`);
  await inside.stop();
  expect(inside.logs()).not.toContain('an upstream cannot be asked');
});

test('distribution serves the folder as well', async () => {
  const distribution = await startDistribution({ dataDir: at('inside'), storage: 'filesystem' });
  const copied = await run(requireTool('skopeo'), [
    ...['--insecure-policy', 'copy', '--src-tls-verify=false'],
    ...[`docker://${distribution.host}/docker.io/library/hello:1`, `oci:${at('copied')}:image`],
  ]);
  expect(copied.code, copied.stderr).toBe(0);
  await distribution.stop();
});
