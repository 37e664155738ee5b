import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { appendFile, mkdir, readdir, readFile, stat, symlink, utimes, writeFile } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest';
import { keep, namesOf, pattern, readAll } from '../testing/fixture.ts';
import { createFixture, type FilesystemFixture } from './testing/fixture.ts';

describe('on a folder that distribution has written, or will read', () => {
  let fixture: FilesystemFixture;
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.dispose());

  test('an object is a file of the same path, with the modes of distribution', async () => {
    const { driver, root } = fixture;
    const umask = process.umask();
    await driver.put('/docker/registry/v2/a/link', Buffer.from('sha256:1'));
    await keep(driver, '/docker/registry/v2/u/data', pattern(10));
    const staged = await driver.writer('/docker/registry/v2/s/data');
    await staged.commit();
    expect(await readFile(`${root}/docker/registry/v2/a/link`, 'utf8')).toBe('sha256:1');
    for (const path of ['a/link', 'u/data', 's/data']) {
      expect((await stat(`${root}/docker/registry/v2/${path}`)).mode & 0o777, path).toBe(0o666 & ~umask);
    }
    for (const path of ['/docker', '/docker/registry/v2/a', '/docker/registry/v2/u', '/docker/registry/v2/s']) {
      expect((await stat(root + path)).mode & 0o777, path).toBe(0o777 & ~umask);
    }
  });

  test('nothing is left in the private folder when all is done, nor shown of it', async () => {
    const { driver, root } = fixture;
    await driver.put('/_berth/referrers/a', Buffer.from('x'));
    await driver.put('/a/b/c', Buffer.from('x'));
    await driver.put('/a/b/c', Buffer.from('y'));
    await (await driver.writer('/w')).commit('/x/y');
    await (await driver.writer('/w')).cancel();
    await (await driver.writer('/w/a', { append: true })).cancel();
    await driver.delete('/a');
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
    expect(await readdir(`${root}/_berth/locks`)).toEqual([]);
    expect(await namesOf(driver, '/_berth')).toEqual(['referrers']);
  });

  test('what fails leaves nothing in the private folder', async () => {
    const { driver, root } = fixture;
    await driver.put('/object', Buffer.from('x'));
    await driver.put('/folder/x', Buffer.from('x'));
    await expect(driver.put('/object/below/it', Buffer.from('y'))).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    await expect(driver.put('/folder', Buffer.from('y'))).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    await expect(driver.writer('/object/below', { append: true })).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    for (const append of [true, false]) {
      const writer = await driver.writer('/w', { append });
      await writer.write(Buffer.from('kept'));
      await expect(writer.commit('/folder')).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    }
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
    expect(await readdir(`${root}/_berth/locks`)).toEqual([]);
    expect((await driver.get('/object')).toString()).toBe('x');
    expect((await driver.get('/w')).toString()).toBe('kept');
  });

  test('a writer that failed to commit may still cancel, and drops what it kept', async () => {
    const { driver } = fixture;
    await driver.put('/folder/x', Buffer.from('x'));
    const writer = await driver.writer('/w', { append: true });
    await writer.write(Buffer.from('kept'));
    await expect(writer.commit('/folder')).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    await writer.cancel();
    await expect(driver.stat('/w')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  });

  test('an empty file, as distribution 2.8 leaves after a crash, is an empty object', async () => {
    const { driver, root } = fixture;
    await mkdir(`${root}/tags/x/current`, { recursive: true });
    await writeFile(`${root}/tags/x/current/link`, '');
    expect(await driver.get('/tags/x/current/link')).toHaveLength(0);
    expect(await readAll(await driver.reader('/tags/x/current/link'))).toHaveLength(0);
  });

  test('temporary files and names that are no segments are not listed; a folder called x.tmp is', async () => {
    const { driver, root } = fixture;
    await mkdir(`${root}/f/x.tmp`, { recursive: true });
    for (const name of ['link', 'link.0b1c.tmp', '.a.tmp', 'two words', 'ümlaut', 'tmp']) {
      await writeFile(`${root}/f/${name}`, 'x');
    }
    expect(await namesOf(driver, '/f')).toEqual(['link', 'tmp', 'x.tmp']);
  });

  test('symbolic links to files and folders are followed', async () => {
    const { driver, root } = fixture;
    await driver.put('/real/folder/link', Buffer.from('x'));
    await symlink('real', `${root}/linked`);
    await symlink('folder/link', `${root}/real/alias`);
    const entries: unknown[] = [];
    for await (const entry of driver.list('/linked')) entries.push(entry);
    expect(entries).toEqual([
      { name: 'alias', kind: 'object' },
      { name: 'folder', kind: 'folder' },
    ]);
    expect((await driver.get('/linked/alias')).toString()).toBe('x');
    await driver.put('/linked/new/link', Buffer.from('y'));
    expect((await driver.get('/real/new/link')).toString()).toBe('y');
    await driver.delete('/linked');
    expect((await driver.get('/real/alias')).toString()).toBe('x');
  });

  test('a link that leads nowhere, or in a circle, fails the listing and is named', async () => {
    const { driver, root } = fixture;
    await mkdir(`${root}/f`);
    await symlink('/not/mounted', `${root}/f/repository`);
    const fault = { code: 'STORAGE_FAULT', path: '/f/repository' };
    await expect(namesOf(driver, '/f')).rejects.toMatchObject(fault);
    await mkdir(`${root}/g`);
    await symlink('repository', `${root}/g/repository`);
    await expect(namesOf(driver, '/g')).rejects.toMatchObject({ ...fault, path: '/g/repository' });
    await expect(driver.get('/g/repository')).rejects.toMatchObject({ ...fault, path: '/g/repository' });
  });

  test('what is neither file nor folder is nothing, and holds nobody up', async () => {
    const { driver, root } = fixture;
    await mkdir(`${root}/f`);
    execFileSync('mkfifo', [`${root}/f/pipe`]);
    await expect(driver.get('/f/pipe')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    await expect(driver.stat('/f/pipe')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(await namesOf(driver, '/f')).toEqual([]);
  });

  test('a name that is too long is a fault that names the path', async () => {
    const path = `/f/${'n'.repeat(300)}`;
    await fixture.driver.put('/f/x', Buffer.from('x'));
    await expect(fixture.driver.get(path)).rejects.toMatchObject({ code: 'STORAGE_FAULT', path });
    await expect(fixture.driver.put(path, Buffer.from('x'))).rejects.toMatchObject({ code: 'STORAGE_FAULT', path });
  });

  test('bytes that another program appended make the commit fail, and nothing is published', async () => {
    const { driver, root } = fixture;
    for (const end of ['commit', 'close'] as const) {
      const writer = await driver.writer('/u/data', { append: true });
      await writer.write(pattern(1000));
      await appendFile(`${root}/u/data`, 'foreign');
      await expect(writer[end](...(end === 'commit' ? (['/blob'] as const) : ([] as const)))).rejects.toMatchObject({
        code: 'STORAGE_FAULT',
        path: '/u/data',
      });
      expect(existsSync(`${root}/blob`)).toBe(false);
      await writer.cancel();
    }
  });

  test('an object that another program cuts while it is read fails the reader', async () => {
    const { driver, root } = fixture;
    await driver.put('/o', pattern(5_000_000));
    const reader = await driver.reader('/o');
    const read = async () => {
      for await (const chunk of reader) if (chunk.length > 0) await writeFile(`${root}/o`, 'short');
    };
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_FAULT', path: '/o' });
  });

  test('what died a day ago in the staging area is swept, what is younger stays', async () => {
    const { driver, root } = fixture;
    await mkdir(`${root}/_berth/staging/old/folder`, { recursive: true });
    await writeFile(`${root}/_berth/staging/old/folder/file`, 'x');
    await writeFile(`${root}/_berth/staging/young`, 'x');
    const yesterday = new Date(Date.now() - 25 * 60 * 60 * 1000);
    await utimes(`${root}/_berth/staging/old`, yesterday, yesterday);
    await driver.put('/a', Buffer.from('x'));
    await driver.close?.();
    expect(await readdir(`${root}/_berth/staging`)).toEqual(['young']);
  });

  test('what others leave behind while the server runs is swept once a day, until the driver is closed', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const day = 24 * 60 * 60 * 1000;
    const { driver, root } = fixture;
    await driver.put('/a', Buffer.from('x'));
    const left = `${root}/_berth/staging/left`;
    await writeFile(left, 'x');
    const then = new Date(Date.now() - day - 1000);
    await utimes(left, then, then);
    await vi.waitFor(() => {
      vi.advanceTimersByTime(day);
      expect(existsSync(left)).toBe(false);
    });
    await driver.close?.();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('the storage goes on when somebody removes the private folder', async () => {
    const { driver, root } = fixture;
    await driver.put('/a', Buffer.from('x'));
    execFileSync('rm', ['-r', `${root}/_berth`]);
    await driver.put('/b/c', Buffer.from('y'));
    execFileSync('rm', ['-r', `${root}/_berth`]);
    await driver.delete('/b');
    await driver.check?.({ write: true });
    expect(await namesOf(driver, '/b')).toEqual([]);
  });

  test('no descriptor stays open, whatever fails', async () => {
    const { driver, root } = fixture;
    const open = () => readdirSync('/proc/self/fd').length;
    await driver.put('/folder/large', pattern(3_000_000));
    await driver.put('/folder/small', pattern(30));
    const before = open();
    const aborter = new AbortController();
    await driver.reader('/folder/large', { signal: aborter.signal });
    aborter.abort();
    await expect(driver.reader('/folder/large', { start: 4_000_000 })).rejects.toThrow();
    for await (const chunk of await driver.reader('/folder/large')) if (chunk.length > 0) break;
    await (await driver.reader('/folder/large')).close();
    await expect(driver.reader('/folder')).rejects.toThrow();
    await expect(driver.get('/folder')).rejects.toThrow();
    await expect(driver.put('/folder', pattern(1))).rejects.toThrow();
    await expect(driver.put('/folder/small/x', pattern(1))).rejects.toThrow();
    await expect(driver.writer('/folder', { append: true })).rejects.toThrow();
    for (const append of [true, false]) {
      for (const end of ['close', 'cancel'] as const) await (await driver.writer('/w', { append }))[end]();
      await expect((await driver.writer('/w', { append })).commit('/folder')).rejects.toThrow();
    }
    expect(await readdir(`${root}/_berth/locks`)).toEqual([]);
    expect(open()).toBe(before);
  });

  test('check gives up when it is told to', async () => {
    const signal = AbortSignal.abort(new Error('took too long'));
    await expect(fixture.driver.check?.({ signal })).rejects.toThrow('took too long');
  });

  test('check only looks; that the storage can be written is tried when it is asked for', async () => {
    const { driver, root } = fixture;
    await driver.check?.();
    expect(await readdir(root)).toEqual([]);
    await driver.check?.({ write: true });
    expect(await readdir(`${root}/_berth/staging`)).toEqual([]);
  });

  test('check says that the root is missing, and makes it where it is to be written', async () => {
    const { driver, root } = fixture;
    execFileSync('rm', ['-r', root]);
    await expect(driver.check?.()).rejects.toMatchObject({
      code: 'STORAGE_FAULT',
      message: expect.stringContaining(`${root} does not exist`),
    });
    await driver.check?.({ write: true });
    await driver.check?.();
  });

  test.each([{}, { write: true }])('check says when the root is no folder, with %j', async (options) => {
    const { driver, root } = fixture;
    execFileSync('rm', ['-r', root]);
    await writeFile(root, 'x');
    await expect(driver.check?.(options)).rejects.toMatchObject({
      code: 'STORAGE_FAULT',
      message: expect.stringContaining(`${root} is not a folder`),
    });
  });
});
