import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { namesOf, pattern, readAll } from '../testing/fixture.ts';
import { createFixture, type FilesystemFixture } from './testing/fixture.ts';
import { buildChild, startChild } from './testing/start-child.ts';

const timeout = 60_000;
const upload = '/repositories/a/_uploads/1/data';

describe('with other processes on the same folder', { timeout }, () => {
  let fixture: FilesystemFixture;
  beforeAll(buildChild, timeout);
  beforeEach(async () => {
    fixture = await createFixture();
  });
  afterEach(() => fixture.dispose());

  test('a process that is killed while it puts leaves nothing half', async () => {
    const { driver, root } = fixture;
    for (let kills = 1; kills <= 6; kills += 1) {
      const child = startChild('put', root);
      for (let steps = 0; steps < kills * 3; steps += 1) await child.step();
      await child.kill();

      const content = await driver.get('/replaced/object');
      const [letter, size] = content[0] === 97 ? ['a', 1024 * 1024] : ['b', 900_000];
      expect(content.equals(Buffer.alloc(Number(size), letter))).toBe(true);
      const made = await namesOf(driver, '/made');
      expect(made.length).toBeGreaterThanOrEqual(kills * 3);
      for (const name of made) {
        expect((await driver.get(`/made/${name}/current/link`)).toString()).toBe(`link ${name}`);
      }
      expect(await namesOf(driver, '/replaced')).toEqual(['object']);
    }
  });

  test('what a killed process kept goes on at once in another one', async () => {
    const { driver, root } = fixture;
    const content = pattern(3_000_000);
    const child = startChild('append', root, upload, '1234567', String(content.length));
    for (let steps = 0; steps < 100; steps += 1) await child.step();
    await expect(driver.writer(upload, { append: true })).rejects.toMatchObject({ code: 'WRITER_BUSY' });
    await child.kill();

    const writer = await driver.writer(upload, { append: true });
    expect(writer.size).toBeGreaterThanOrEqual(1_234_567);
    expect((await driver.stat(upload)).size).toBe(writer.size);
    await writer.write(content.subarray(writer.size));
    await writer.commit('/blobs/data');
    expect((await readAll(await driver.reader('/blobs/data'))).equals(content)).toBe(true);
    expect(await readdir(`${root}/_berth/locks`)).toEqual([]);
  });

  test('processes that append to one object take turns and lose nothing', async () => {
    const { driver, root } = fixture;
    const children = ['a', 'b', 'c'].map((letter) => startChild('contend', root, upload, letter, '30'));
    for (const child of children) expect(await child.steps()).toEqual(['done']);
    const content = await driver.get(upload);
    expect(content).toHaveLength(90 * 1000);
    const letters = Array.from({ length: 90 }, (_, index) => {
      const record = content.subarray(index * 1000, (index + 1) * 1000);
      expect(record.equals(Buffer.alloc(1000, record[0]))).toBe(true);
      return String.fromCharCode(record[0] ?? 0);
    });
    expect(letters.sort().join('')).toBe('a'.repeat(30) + 'b'.repeat(30) + 'c'.repeat(30));
  });

  test('a new folder and the object in it are seen at the same instant', async () => {
    const { driver, root } = fixture;
    const child = startChild('put', root);
    for (let round = 0; round < 40; round += 1) {
      const folder = `${root}/made/${round}`;
      while (!existsSync(folder)) await new Promise(setImmediate);
      expect((await driver.get(`/made/${round}/current/link`)).toString()).toBe(`link ${round}`);
    }
    await child.kill();
  });
});
