import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { imageOf } from '../clients/raw/artifact.ts';
import { createRegistryClient } from '../clients/raw/registry-client.ts';
import { blob } from '../harness/content.ts';
import { startBerth } from '../harness/server.ts';
import { readKept } from './kept.ts';
import { startLiar } from './liar.ts';

/*
 * A mirror whose disk is full goes on to pass through what the upstream sends, and keeps blobs again when there is room.
 */

const mib = 1024 * 1024;
let disk: string;
beforeEach(async () => {
  disk = await mkdtemp(join(tmpdir(), 'berth-full-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=12m', 'tmpfs', disk], { stdio: 'pipe' });
  } catch (cause) {
    throw new Error(`mounting a tmpfs on ${disk} was refused: run this as root, with CAP_SYS_ADMIN`, { cause });
  }
});
afterEach(() => {
  execFileSync('umount', ['--lazy', disk]);
  rmSync(disk, { recursive: true });
});

function bytesUsed(): number {
  const { blocks, bfree, bsize } = statfsSync(disk);
  return (blocks - bfree) * bsize;
}

test.each([
  { what: 'where blobs are gathered', settings: () => ({ spool: join(disk, 'spool') }), dataDir: () => undefined },
  { what: 'of the storage', settings: () => ({}), dataDir: () => join(disk, 'data') },
])('a full disk $what', async ({ settings, dataDir }) => {
  const upstream = await startLiar();
  const large = blob(randomBytes(30 * mib));
  const small = blob(randomBytes(3 * mib));
  upstream.add(imageOf([large]), 'large');
  upstream.add(imageOf([small]), 'small');
  const given = dataDir();
  const mirror = await startBerth({
    storage: 'filesystem',
    config: { mirror: { upstreams: [{ name: 'upstream.example', endpoints: [upstream.url] }], ...settings() } },
    ...(given !== undefined && { dataDir: given }),
  });
  const client = createRegistryClient(mirror.url);
  try {
    const repository = 'upstream.example/team/app';
    // Two at once, the second one from a place within.
    const [whole, part] = await Promise.all([
      client.getBlob(repository, large.digest),
      client.request('GET', `/v2/${repository}/blobs/${large.digest}`, { headers: { Range: `bytes=${20 * mib}-` } }),
    ]);
    expect([whole.status, whole.body.equals(large.bytes)]).toEqual([200, true]);
    expect([part.status, part.body.equals(large.bytes.subarray(20 * mib))]).toEqual([206, true]);
    expect((await readKept(mirror.dataDir)).blobs).toEqual([]);

    // What was gathered is gone, so that there is room again.
    await expect.poll(bytesUsed).toBeLessThan(mib);
    const before = await client.getBlob(repository, small.digest);
    expect([before.status, before.body.equals(small.bytes)]).toEqual([200, true]);
    await expect.poll(async () => (await readKept(mirror.dataDir)).blobs).toEqual([small.digest]);
    const asked = upstream.asked.length;
    const kept = await client.getBlob(repository, small.digest);
    expect([kept.status, kept.body.equals(small.bytes), upstream.asked.length]).toEqual([200, true, asked]);
  } finally {
    await client.close();
    await mirror.stop();
    await upstream.close();
  }
});
