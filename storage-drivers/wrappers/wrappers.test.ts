import { describe, expect, test } from 'vitest';
import { StorageError } from '../driver.ts';
import { createInMemoryDriver, createMemoryStore } from '../inmemory/driver.ts';
import { namesOf, pattern, readAll } from '../testing/fixture.ts';
import { describeDriver } from '../testing/suite.ts';
import { withCheckedPaths } from './checked-paths.ts';
import { withCounts } from './counting.ts';
import { withFaults } from './faults.ts';

describeDriver('wrappers that have nothing to do', async () => {
  const store = createMemoryStore();
  const create = () => withCounts(withFaults(withCheckedPaths(createInMemoryDriver(store))).driver).driver;
  return { driver: create(), another: async () => create(), dispose: async () => undefined };
});

test('the optional calls of a driver are there exactly when the driver has them', async () => {
  const plain = createInMemoryDriver();
  const full = {
    ...plain,
    folders: async (_path: string, names: readonly string[]) => names.slice(1),
    async *objects(path: string) {
      yield { path: `below ${path}`, modified: undefined };
    },
    redirectUrl: async (path: string) => `https://elsewhere${path}`,
    check: async () => {
      throw new StorageError('STORAGE_UNAVAILABLE', 'inmemory', '/', 'down');
    },
    close: async () => undefined,
  };
  for (const wrap of [
    withCheckedPaths,
    (d: typeof plain) => withCounts(d).driver,
    (d: typeof plain) => withFaults(d).driver,
  ]) {
    for (const call of ['folders', 'objects', 'redirectUrl', 'check', 'close'] as const)
      expect(wrap(plain)[call]).toBeUndefined();
    const wrapped = wrap(full);
    expect(await wrapped.folders?.('/a', ['x', 'y'])).toEqual(['y']);
    for await (const { path } of wrapped.objects?.('/a') ?? []) expect(path).toBe('below /a');
    expect(await wrapped.redirectUrl?.('/a', { method: 'GET' })).toBe('https://elsewhere/a');
    await expect(wrapped.check?.()).rejects.toThrow('down');
    await wrapped.close?.();
  }
  await expect(withCheckedPaths(full).redirectUrl?.('/..', { method: 'GET' })).rejects.toMatchObject({
    code: 'INVALID_PATH',
  });
});

test('calls are counted by operation, also those of readers and writers', async () => {
  const { driver, counts, reset } = withCounts(createInMemoryDriver());
  const writer = await driver.writer('/a');
  await writer.write(pattern(10));
  await writer.write(pattern(10));
  await writer.commit();
  await readAll(await driver.reader('/a'));
  await namesOf(driver, '/b');
  await expect(driver.get('/missing')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
  // The reader is asked for a chunk, and then told that there is none.
  expect(Object.fromEntries(counts)).toEqual({ writer: 1, write: 2, commit: 1, reader: 1, read: 2, list: 1, get: 1 });
  reset();
  expect(counts.size).toBe(0);
});

describe('faults', () => {
  test('fail the calls of their pattern, so often as they should', async () => {
    const { driver, fail } = withFaults(createInMemoryDriver());
    fail({ operation: 'put', path: /\/link$/ }, { times: 1 });
    await driver.put('/a/data', pattern(1));
    await expect(driver.put('/a/link', pattern(1))).rejects.toMatchObject({ code: 'STORAGE_FAULT', path: '/a/link' });
    await expect(driver.get('/a/link')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    await driver.put('/a/link', pattern(1));
  });

  test('may come after the driver has done its work', async () => {
    const { driver, fail, clear } = withFaults(createInMemoryDriver());
    fail({ operation: 'put' }, { when: 'after', error: new Error('answer lost') });
    await expect(driver.put('/a', pattern(3))).rejects.toThrow('answer lost');
    expect(await driver.get('/a')).toHaveLength(3);
    clear();
    await driver.put('/a', pattern(4));
  });

  test('hold calls until they are released', async () => {
    const { driver, hold } = withFaults(createInMemoryDriver());
    const held = hold({ operation: 'commit', path: '/a' });
    const writer = await driver.writer('/a');
    let committed = false;
    const commit = writer.commit().then(() => {
      committed = true;
    });
    await held.reached;
    await expect(driver.get('/a')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
    expect(committed).toBe(false);
    held.release();
    await commit;
    expect(await driver.get('/a')).toHaveLength(0);
  });

  test('that cut a writer pass on what precedes its commit', async () => {
    const { driver, cutWrites } = withFaults(createInMemoryDriver());
    cutWrites('/w', 100);
    const writer = await driver.writer('/w');
    await writer.write(pattern(20));
    await writer.commit('/data', [{ path: '/link', content: Buffer.from('x') }]);
    expect((await driver.get('/link')).toString()).toBe('x');
    expect(await driver.get('/data')).toHaveLength(20);
  });

  test('cut what is written and what is read after so many bytes', async () => {
    const { driver, cutWrites, cutReads, clear } = withFaults(createInMemoryDriver());
    cutWrites('/w', 25);
    const writer = await driver.writer('/w', { append: true });
    await writer.write(pattern(20));
    await expect(writer.write(pattern(20))).rejects.toMatchObject({ code: 'STORAGE_FULL', path: '/w' });
    await writer.commit();
    expect((await driver.stat('/w')).size).toBe(25);
    cutReads(/w/, 10);
    const chunks: Buffer[] = [];
    const read = async () => {
      for await (const chunk of await driver.reader('/w')) chunks.push(chunk);
    };
    await expect(read()).rejects.toMatchObject({ code: 'STORAGE_FAULT' });
    expect(Buffer.concat(chunks)).toHaveLength(10);
    clear();
    expect(await readAll(await driver.reader('/w'))).toHaveLength(25);
  });
});
