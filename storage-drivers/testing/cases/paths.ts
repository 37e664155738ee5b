import { expect } from 'vitest';
import { type DriverCase, namesOf } from '../fixture.ts';

const invalid = [
  '',
  '/',
  'a',
  'a/b',
  '//a',
  '/a//b',
  '/a/',
  '/.',
  '/..',
  '/a/../b',
  '/a/./b',
  '/a b',
  '/ä',
  '/a\0',
  '/a\n',
  '/a\\b',
  '/a/%2e',
];

export const pathCases: readonly DriverCase[] = [
  {
    name: 'what is no path is refused by every call',
    async run({ driver }) {
      await driver.put('/a/b', Buffer.from('x'));
      for (const path of invalid) {
        const fault = { name: 'InvalidPathError', code: 'INVALID_PATH', path };
        await expect(driver.get(path)).rejects.toMatchObject(fault);
        await expect(driver.put(path, Buffer.from('x'))).rejects.toMatchObject(fault);
        await expect(driver.reader(path)).rejects.toMatchObject(fault);
        await expect(driver.writer(path)).rejects.toMatchObject(fault);
        await expect(driver.stat(path)).rejects.toMatchObject(fault);
        await expect(namesOf(driver, path)).rejects.toMatchObject(fault);
        await expect(driver.delete(path)).rejects.toMatchObject(fault);
      }
      expect((await driver.get('/a/b')).toString()).toBe('x');
    },
  },
  {
    name: 'a commit to what is no path is refused, and the writer goes on',
    async run({ driver }) {
      const writer = await driver.writer('/w', { append: true });
      await writer.write(Buffer.from('x'));
      await expect(writer.commit('/../x')).rejects.toMatchObject({ code: 'INVALID_PATH' });
      await writer.commit('/x');
      expect((await driver.get('/x')).toString()).toBe('x');
    },
  },
];
