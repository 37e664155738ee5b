import { mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { namesOf, pattern, readAll } from '../testing/fixture.ts';
import { isSettled } from './content-cache.ts';
import { Listings } from './listing.ts';
import { createFixture, type FilesystemFixture } from './testing/fixture.ts';

// Files change here behind the driver's back and in place, as distribution 2.8 writes them.
describe('caches never answer with what was', () => {
  let fixture: FilesystemFixture;
  let file: string;
  beforeEach(async () => {
    fixture = await createFixture();
    file = `${fixture.root}/link`;
  });
  afterEach(() => fixture.dispose());

  /** Until the time stamps are so old that content may be cached: this is the kernel's clock, no test can turn it. */
  async function settle(path: string): Promise<void> {
    while (!isSettled(statSync(path), Date.now())) await new Promise((done) => setTimeout(done, 5));
  }

  test('content of the same size written right after a read is seen', async () => {
    const { driver } = fixture;
    for (let round = 0; round < 500; round += 1) {
      const text = String(round).padStart(71, '0');
      writeFileSync(file, text);
      expect((await driver.get('/link')).toString()).toBe(text);
    }
  });

  test('settled content is read once, and read again when it changes in place', async () => {
    const { driver } = fixture;
    for (const text of ['first', 'other', 'third']) {
      writeFileSync(file, text);
      await settle(file);
      const content = await driver.get('/link');
      expect(content.toString()).toBe(text);
      expect(await driver.get('/link')).toBe(content);
      expect((await readAll(await driver.reader('/link', { start: 1, end: 2 }))).toString()).toBe(text.slice(1, 3));
    }
  });

  test('settled content that vanishes is not found, and its return is seen', async () => {
    const { driver } = fixture;
    writeFileSync(file, 'first');
    await settle(file);
    await driver.get('/link');
    rmSync(file);
    await expect(driver.get('/link')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    writeFileSync(file, 'again');
    expect((await driver.get('/link')).toString()).toBe('again');
  });

  test('a folder that is swapped under a path is seen', async () => {
    const { driver, root } = fixture;
    for (const version of ['a', 'b']) {
      mkdirSync(`${root}/${version}`);
      writeFileSync(`${root}/${version}/link`, version);
      writeFileSync(`${root}/${version}/${version}`, version);
    }
    await settle(`${root}/b/link`);
    for (const version of ['a', 'b', 'a']) {
      rmSync(`${root}/current`, { force: true });
      symlinkSync(version, `${root}/current`);
      expect((await driver.get('/current/link')).toString()).toBe(version);
      expect(await namesOf(driver, '/current')).toEqual([version, 'link']);
    }
  });

  test('names that come and go right after a listing are seen', async () => {
    const { driver, root } = fixture;
    mkdirSync(`${root}/f`);
    for (let round = 0; round < 200; round += 1) {
      writeFileSync(`${root}/f/n${round}`, '');
      expect(await namesOf(driver, '/f')).toEqual([`n${round}`]);
      rmSync(`${root}/f/n${round}`);
      expect(await namesOf(driver, '/f')).toEqual([]);
    }
  });

  test('a settled listing is read once, and read again when a name comes', async () => {
    const { driver, root } = fixture;
    mkdirSync(`${root}/f`);
    writeFileSync(`${root}/f/a`, '');
    await settle(`${root}/f`);
    const first = async () => {
      for await (const entry of driver.list('/f')) return entry;
      return undefined;
    };
    const entry = await first();
    expect(entry).toEqual({ name: 'a', kind: 'object' });
    expect(await first()).toBe(entry);
    writeFileSync(`${root}/f/0`, '');
    expect(await first()).toEqual({ name: '0', kind: 'object' });
  });

  test('a listing longer than all that is kept of names is kept too', async () => {
    const listings = new Listings(fixture.root, 10);
    for (const folder of ['large', 'small']) mkdirSync(`${fixture.root}/${folder}`);
    for (let index = 0; index < 50; index += 1) writeFileSync(`${fixture.root}/large/n${index}`, '');
    writeFileSync(`${fixture.root}/small/a`, '');
    await settle(`${fixture.root}/large`);
    await settle(`${fixture.root}/small`);
    const read = async (path: string) => (await listings.list(path).next()).value;
    const [large, small] = [await read('/large'), await read('/small')];
    expect(await read('/large')).toBe(large);
    expect(await read('/small')).toBe(small);
  });

  test('listings of one folder at the same time read it once', async () => {
    const { driver, root } = fixture;
    mkdirSync(`${root}/f`);
    writeFileSync(`${root}/f/a`, '');
    await settle(`${root}/f`);
    const read = async () => {
      for await (const entry of driver.list('/f')) return entry;
      return undefined;
    };
    const entries = await Promise.all(Array.from({ length: 8 }, read));
    expect(entries[0]).toEqual({ name: 'a', kind: 'object' });
    expect(new Set(entries).size).toBe(1);
  });

  test('a listing sees what was there when it was asked for, also when another one was under way', async () => {
    const { driver, root } = fixture;
    mkdirSync(`${root}/f`);
    for (let round = 0; round < 200; round += 1) {
      const running = namesOf(driver, '/f');
      // So that the running one has come to different points.
      for (let turn = 0; turn < round % 4; turn += 1) await new Promise(setImmediate);
      writeFileSync(`${root}/f/n${round}`, '');
      expect(await Promise.all([namesOf(driver, '/f'), namesOf(driver, '/f')])).toEqual([[`n${round}`], [`n${round}`]]);
      await running;
      rmSync(`${root}/f/n${round}`);
    }
  });

  test('what a link leads to is looked up for each listing', async () => {
    const { driver, root } = fixture;
    mkdirSync(`${root}/f`);
    mkdirSync(`${root}/target`);
    symlinkSync('../target', `${root}/f/alias`);
    await settle(`${root}/f`);
    expect(await namesOf(driver, '/f')).toEqual(['alias']);
    rmSync(`${root}/target`, { recursive: true });
    await expect(namesOf(driver, '/f')).rejects.toMatchObject({ code: 'STORAGE_FAULT', path: '/f/alias' });
  });

  test('time stamps of whole seconds are trusted only after seconds', () => {
    const stamp = (changed: number) => ({ mtimeMs: changed - 5000, ctimeMs: changed });
    expect(isSettled(stamp(10_123.4), 10_123.4 + 60)).toBe(true);
    expect(isSettled(stamp(10_123.4), 10_123.4 + 40)).toBe(false);
    expect(isSettled(stamp(10_000), 11_900)).toBe(false);
    expect(isSettled(stamp(10_000), 12_200)).toBe(true);
    // The clock was set back, or that of the file server goes ahead.
    expect(isSettled(stamp(10_123.4), 9_000)).toBe(false);
  });

  test('large content is not kept in memory', async () => {
    const { driver } = fixture;
    writeFileSync(file, pattern(65 * 1024));
    await settle(file);
    const content = await driver.get('/link');
    expect(content.equals(readFileSync(file))).toBe(true);
    expect(await driver.get('/link')).not.toBe(content);
  });
});
