import { execFileSync } from 'node:child_process';
import { existsSync, statfsSync, statSync, writeFileSync } from 'node:fs';
import { mkdir, readdir } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { keep, pattern, readAll } from '../testing/fixture.ts';
import { createFixture, type FilesystemFixture } from './testing/fixture.ts';

const mebibyte = 1024 * 1024;

/** @throws Error when this user may not mount: these tests cannot do without, and must not pass by doing nothing */
function mount(folder: string, size: string): void {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size},nr_inodes=200`, 'tmpfs', folder], { stdio: 'pipe' });
  } catch (cause) {
    throw new Error(`mounting a tmpfs on ${folder} was refused: run this as root, with CAP_SYS_ADMIN`, { cause });
  }
}

let fixture: FilesystemFixture;
let mounted: string[];
beforeEach(async () => {
  fixture = await createFixture();
  mounted = [];
});
afterEach(async () => {
  for (const folder of mounted) execFileSync('umount', [folder]);
  await fixture.dispose();
});

describe('on a full disk', () => {
  beforeEach(() => {
    mount(fixture.root, '8m');
    mounted.push(fixture.root);
  });

  test('a put says STORAGE_FULL, leaves nothing, and what was there stays', async () => {
    const { driver, root } = fixture;
    await driver.put('/a/old', pattern(mebibyte));
    const fault = { code: 'STORAGE_FULL', path: '/a/old' };
    await expect(driver.put('/a/old', pattern(9 * mebibyte))).rejects.toMatchObject(fault);
    expect((await driver.get('/a/old')).equals(pattern(mebibyte))).toBe(true);
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
    await driver.put('/a/new', pattern(5 * mebibyte));
  });

  test('a writer says STORAGE_FULL; what was kept is consistent and goes on when there is room', async () => {
    const { driver, root } = fixture;
    const content = pattern(7 * mebibyte);
    await driver.put('/ballast', pattern(4 * mebibyte));
    await keep(driver, '/u/data', content.subarray(0, 1_000_000));

    const writer = await driver.writer('/u/data', { append: true });
    const write = async () => {
      for (let position = 1_000_000; position < content.length; position += 32_768) {
        await writer.write(content.subarray(position, position + 32_768));
      }
    };
    await expect(write()).rejects.toMatchObject({ code: 'STORAGE_FULL', path: '/u/data' });
    await expect(writer.write(Buffer.from('x'))).rejects.toMatchObject({ code: 'STORAGE_FULL' });
    await writer.close();
    const kept = (await driver.stat('/u/data')).size;
    expect(kept).toBeGreaterThan(2 * mebibyte);
    expect(writer.size).toBe(kept);
    expect((await readAll(await driver.reader('/u/data'))).equals(content.subarray(0, kept))).toBe(true);

    await driver.delete('/ballast');
    const next = await driver.writer('/u/data', { append: true });
    expect(next.size).toBe(kept);
    await next.write(content.subarray(kept));
    await next.commit('/blobs/data');
    expect((await readAll(await driver.reader('/blobs/data'))).equals(content)).toBe(true);
    expect(await readdir(`${root}/_berth/locks`)).toEqual([]);
  });

  test('a commit that lacks bytes fails, and a cancelled writer frees its room', async () => {
    const { driver, root } = fixture;
    for (const append of [true, false]) {
      const writer = await driver.writer('/u/data', { append });
      // Taken, and on its way while the fault comes.
      const writes = Array.from({ length: 20 }, () => writer.write(pattern(mebibyte)).catch(() => undefined));
      await Promise.all(writes);
      await expect(writer.commit('/blobs/data')).rejects.toMatchObject({ code: 'STORAGE_FULL' });
      await writer.cancel();
      expect(existsSync(`${root}/blobs/data`)).toBe(false);
      const { bfree, bsize } = statfsSync(root);
      expect(bfree * bsize).toBeGreaterThan(7 * mebibyte);
    }
  });

  test('check says that no more files can be made', async () => {
    const { driver, root } = fixture;
    await driver.check?.({ write: true });
    const fill = () => {
      for (let index = 0; ; index += 1) writeFileSync(`${root}/${index}`, '');
    };
    expect(fill).toThrow('ENOSPC');
    await expect(driver.check?.({ write: true })).rejects.toMatchObject({
      code: 'STORAGE_FULL',
      message: expect.stringContaining(root),
    });
    await driver.check?.();
  });
});

describe('on a volume that is mounted read-only', () => {
  test('what is there can be read and check passes, unless it is to be written', async () => {
    const { driver, another, root } = fixture;
    mount(root, '8m');
    mounted.push(root);
    await driver.put('/a/object', Buffer.from('x'));
    execFileSync('mount', ['-o', 'remount,ro', root]);
    const reader = await another();
    await reader.check?.();
    expect((await reader.get('/a/object')).toString()).toBe('x');
    await expect(reader.check?.({ write: true })).rejects.toMatchObject({
      code: 'STORAGE_READ_ONLY',
      message: expect.stringMatching(/mount it writable, or set storage\.maintenance\.readonly\.enabled/),
    });
  });
});

describe('on a root made of several file systems', () => {
  beforeEach(async () => {
    await mkdir(`${fixture.root}/blobs`);
    mount(`${fixture.root}/blobs`, '32m');
    mounted.push(`${fixture.root}/blobs`);
  });

  test('objects are put, replaced and deleted across them, and leave no temporary file', async () => {
    const { driver, root } = fixture;
    expect(statSync(root).dev).not.toBe(statSync(`${root}/blobs`).dev);
    for (const text of ['first', 'second']) {
      await driver.put('/blobs/a/b/data', Buffer.from(text));
      expect((await driver.get('/blobs/a/b/data')).toString()).toBe(text);
    }
    await driver.put('/blobs/e/f', Buffer.from('third'));
    await driver.delete('/blobs/e');
    await driver.delete('/blobs/a/b/data');
    expect(await readdir(`${root}/blobs/a/b`)).toEqual([]);
    expect(await readdir(`${root}/blobs`)).toEqual(['a']);
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
  });

  test('writers commit across them', async () => {
    const { driver, root } = fixture;
    const content = pattern(3 * mebibyte);
    for (const append of [true, false]) {
      const writer = await driver.writer('/u/data', { append });
      await writer.write(content);
      await writer.commit(`/blobs/${append}/data`);
      expect((await readAll(await driver.reader(`/blobs/${append}/data`))).equals(content)).toBe(true);
      expect(await readdir(`${root}/blobs/${append}`)).toEqual(['data']);
      await expect(driver.stat('/u/data')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    }
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
  });
});
