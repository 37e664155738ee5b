import { expect } from 'vitest';
import { type DriverCase, namesOf, pattern } from '../fixture.ts';

/** `move`, where there is one. */
export const moveCases: readonly DriverCase[] = [
  {
    name: 'a moved object is at its new place for all processes, with its date, and at its old one no more',
    async run({ driver, another }) {
      if (driver.move === undefined) return;
      const other = await another();
      await driver.put('/f/a/data', pattern(70_000));
      await driver.put('/f/b/data', pattern(10));
      const { modified } = await driver.stat('/f/a/data');
      expect([modified, undefined]).toContainEqual(await driver.move('/f/a/data', '/g/h/a'));
      expect((await other.get('/g/h/a')).equals(pattern(70_000))).toBe(true);
      await expect(other.get('/f/a/data')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      expect(await namesOf(other, '/f/b')).toEqual(['data']);
      await driver.put('/f/a/data', pattern(20));
      expect(await other.get('/f/a/data')).toHaveLength(20);
    },
  },
  {
    name: 'a moved object replaces what is there',
    async run({ driver }) {
      if (driver.move === undefined) return;
      await driver.put('/f/a', pattern(10));
      await driver.put('/g/a', pattern(20));
      await driver.move('/f/a', '/g/a');
      expect(await driver.get('/g/a')).toHaveLength(10);
    },
  },
  {
    name: 'what is not there cannot be moved',
    async run({ driver }) {
      if (driver.move === undefined) return;
      await driver.put('/g/a', pattern(20));
      await expect(driver.move('/f/a', '/g/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      expect(await driver.get('/g/a')).toHaveLength(20);
    },
  },
  {
    name: 'who reads an object that is moved and deleted reads on',
    async run({ driver }) {
      if (driver.move === undefined) return;
      const content = pattern(3_000_000);
      await driver.put('/f/a', content);
      const reader = await driver.reader('/f/a');
      await driver.move('/f/a', '/g/a');
      await driver.delete('/g/a');
      const chunks: Buffer[] = [];
      for await (const chunk of reader) chunks.push(Buffer.from(chunk));
      expect(Buffer.concat(chunks).equals(content)).toBe(true);
    },
  },
];
