import { expect } from 'vitest';
import { type DriverCase, keep, namesOf, pattern } from '../fixture.ts';

/** `delete`. */
export const removalCases: readonly DriverCase[] = [
  {
    name: 'a deleted object is gone for all processes, and its neighbours stay',
    async run({ driver, another }) {
      const other = await another();
      await driver.put('/f/a', pattern(10));
      await driver.put('/f/ab', pattern(20));
      expect(await other.get('/f/a')).toHaveLength(10);
      await driver.delete('/f/a');
      await expect(other.get('/f/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      expect(await namesOf(other, '/f')).toEqual(['ab']);
      await expect(driver.delete('/f/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    },
  },
  {
    name: 'a deleted folder is gone with everything below, and its neighbours stay',
    async run({ driver, another }) {
      const other = await another();
      for (const path of ['/f/tag/current/link', '/f/tag/index/sha256/1/link', '/f/tag', '/f/tag-2/link']) {
        if (path !== '/f/tag') await driver.put(path, Buffer.from('x'));
      }
      await driver.delete('/f/tag');
      await expect(other.stat('/f/tag')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      await expect(other.get('/f/tag/current/link')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
      expect(await namesOf(other, '/f')).toEqual(['tag-2']);
      await driver.put('/f/tag/current/link', Buffer.from('again'));
      expect(await namesOf(other, '/f/tag')).toEqual(['current']);
    },
  },
  {
    name: 'a folder vanishes with its last object',
    async run({ driver }) {
      await driver.put('/f/a/b/c', Buffer.from('x'));
      await driver.delete('/f/a/b/c');
      expect(await namesOf(driver, '/f')).toEqual([]);
      await expect(driver.stat('/f/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    },
  },
  {
    name: 'deleting the folder of an upload drops what was kept in it',
    async run({ driver }) {
      await driver.put('/_uploads/1/startedat', Buffer.from('now'));
      await keep(driver, '/_uploads/1/data', pattern(1000));
      await driver.delete('/_uploads/1');
      const writer = await driver.writer('/_uploads/1/data', { append: true });
      expect(writer.size).toBe(0);
      await writer.cancel();
    },
  },
  {
    name: 'puts succeed while others delete the folder above',
    async run({ driver, another }) {
      const other = await another();
      let putting = true;
      const remove = async () => {
        while (putting) {
          await other.delete('/f/g').catch((error: unknown) => expect(error).toMatchObject({ code: 'PATH_NOT_FOUND' }));
        }
      };
      const removing = remove();
      const put = async (name: string) => {
        for (let round = 0; round < 40; round += 1) {
          await driver.put(`/f/g/${name}/${round % 3}/link`, Buffer.from('x'), { durable: false });
        }
      };
      await Promise.all(['a', 'b', 'c'].map(put));
      putting = false;
      await removing;
      await driver.put('/f/g/last', Buffer.from('x'));
      expect(await namesOf(driver, '/f/g')).toContain('last');
    },
  },
];
