import { cp, mkdir, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { noiseImage } from '../clients/raw/artifact.ts';
import type { RegistryClient } from '../clients/raw/registry-client.ts';
import { type TemporaryFolder, temporaryFolder } from '../harness/temporary-folder.ts';
import { type Running, startOn, withRegistry } from './servers.ts';

/**
 * What crashes leave on volumes of distribution: 2.8 writes links in place, so that a full disk or a power cut leaves
 * empty ones; 3 writes temporary files beside them.
 */

const whole = noiseImage('whole');
const broken = noiseImage('broken');

let folder: TemporaryFolder;
let berth: Running;
let client: RegistryClient;

beforeAll(async () => {
  folder = await temporaryFolder('berth-damaged-');
  const dataDir = join(folder.path, 'data');
  const place = { storage: 'filesystem', dataDir } as const;
  await withRegistry(place, 'distribution', async (distribution) => {
    for (const tag of ['v1', 'v2']) await distribution.push('damaged', whole, tag);
    await distribution.push('damaged', broken, 'to-broken');
    await distribution.push('damaged', whole, 'empty');
    await distribution.push('other', whole, 'v1');
    // A manifest of the last one is whole, and its link is empty.
    await distribution.push('revision', broken, 'v1');
  });
  await damage(join(dataDir, 'docker/registry/v2'));
  berth = await startOn(place, 'berth');
  client = berth.client;
});

afterAll(async () => {
  await berth?.stop();
  await folder?.remove();
});

async function damage(root: string): Promise<void> {
  const hex = (digest: string) => digest.slice('sha256:'.length);
  const manifests = join(root, 'repositories/damaged/_manifests');
  await truncate(join(manifests, 'tags/empty/current/link'));
  await truncate(join(root, 'repositories/damaged/_layers/sha256', hex(broken.blobs[0]?.digest ?? ''), 'link'));
  await truncate(join(root, 'repositories/revision/_manifests/revisions/sha256', hex(broken.manifest.digest), 'link'));

  const stray = '0b7a4d6e-5f0c-4f43-9d0b-2f7c3a1e8d55.tmp';
  const data = join(root, 'blobs/sha256', hex(whole.manifest.digest).slice(0, 2), hex(whole.manifest.digest), 'data');
  for (const path of [
    join(manifests, 'tags/v1/current/link'),
    join(manifests, 'tags/half/current/link'),
    join(manifests, 'revisions/sha256', hex(whole.manifest.digest), 'link'),
    join(manifests, 'revisions/sha256', 'f'.repeat(64), 'link'),
    join(root, 'repositories/half/_manifests/tags/v1/current/link'),
    data,
  ]) {
    await mkdir(join(path, '..'), { recursive: true });
    await writeFile(`${path}.${stray}`, 'sha256:half writ');
  }
  for (const place of [
    'repositories',
    'repositories/damaged',
    'repositories/damaged/_manifests/tags',
    'blobs/sha256',
  ]) {
    await writeFile(join(root, place, stray), '');
  }
  // An upload that never came further than its folder, and what 2.3 and older kept beside a manifest.
  await mkdir(join(root, 'repositories/only-uploads/_uploads/5d2f5f0c-7d0e-4d43-8d55-0b7a4d6e2f7c'), {
    recursive: true,
  });
  await cp(
    join(manifests, 'revisions/sha256', hex(whole.manifest.digest), 'link'),
    join(manifests, 'revisions/sha256', hex(whole.manifest.digest), 'signatures/sha256', 'e'.repeat(64), 'link'),
    { recursive: true },
  );
}

describe('a damaged volume', () => {
  test('has no manifest under a tag whose link is empty', async () => {
    expect((await client.getManifest('damaged', 'empty')).status).toBe(404);
    expect((await client.request('HEAD', '/v2/damaged/manifests/empty')).status).toBe(404);
  });

  test('has its other tags', async () => {
    const listed = await client.tags('damaged');
    expect(listed).toEqual(expect.arrayContaining(['to-broken', 'v1', 'v2']));
    expect(listed.filter((tag) => tag.endsWith('.tmp'))).toEqual([]);
    for (const tag of ['v1', 'v2']) {
      expect((await client.getManifest('damaged', tag)).body.equals(whole.manifest.bytes)).toBe(true);
    }
  });

  test('has no manifest by a digest whose link is empty', async () => {
    expect((await client.getManifest('revision', broken.manifest.digest)).status).toBe(404);
  });

  test('has no blob whose link is empty', async () => {
    const digest = broken.blobs[0]?.digest;
    expect((await client.request('HEAD', `/v2/damaged/blobs/${digest}`)).status).toBe(404);
    expect((await client.request('GET', `/v2/damaged/blobs/${digest}`)).status).toBe(404);
  });

  test('lists the repositories with content, and no file of another program', async () => {
    const listed = await client.catalog();
    expect(listed).toEqual(expect.arrayContaining(['damaged', 'other', 'revision']));
    expect(listed).not.toContain('only-uploads');
    expect(listed.filter((name) => name.endsWith('.tmp'))).toEqual([]);
  });

  test('has no referrers, which is found by reading all its manifests', async () => {
    const reply = await client.expect(200, 'GET', `/v2/damaged/referrers/${whole.manifest.digest}`);
    expect((reply.json() as { manifests: unknown[] }).manifests).toEqual([]);
  });

  test('is mended by pushing again', async () => {
    await client.push('damaged', broken, 'to-broken');
    await client.push('damaged', whole, 'empty');
    await client.push('revision', broken, 'v1');
    for (const [name, tag, { manifest, blobs }] of [
      ['damaged', 'to-broken', broken],
      ['damaged', 'empty', whole],
      ['revision', 'v1', broken],
    ] as const) {
      expect((await client.getManifest(name, tag)).body.equals(manifest.bytes)).toBe(true);
      for (const blob of blobs) expect((await client.getBlob(name, blob.digest)).body.equals(blob.bytes)).toBe(true);
    }
  });
});
