import { describe, expect, test } from 'vitest';
import { createDriver, storageDrivers } from './index.ts';
import { DriverOptionsError, type OptionFinding } from './options.ts';

describe('the options of a driver', () => {
  const { parseOptions } = storageDrivers.filesystem;

  test('have the defaults of distribution', () => {
    expect(parseOptions({})).toEqual({
      options: { rootdirectory: '/var/lib/registry', maxthreads: 100 },
      warnings: [],
    });
    expect(parseOptions({ rootdirectory: null, maxthreads: undefined })).toMatchObject({
      options: { rootdirectory: '/var/lib/registry', maxthreads: 100 },
    });
  });

  test('take numbers as text, as the environment gives them', () => {
    expect(parseOptions({ rootdirectory: '/data', maxthreads: '250' })).toEqual({
      options: { rootdirectory: '/data', maxthreads: 250 },
      warnings: [],
    });
  });

  test('are raised to the minimum as distribution does, with a warning', () => {
    expect(parseOptions({ maxthreads: 3 })).toMatchObject({
      options: { maxthreads: 25 },
      warnings: [{ key: 'maxthreads', value: 3, message: expect.stringContaining('minimum of 25') }],
    });
  });

  test('report every fault with its key and what is allowed', () => {
    expect(parseOptions({ rootdirectory: ['a'], maxthreads: 'many' })).toEqual({
      faults: [
        { key: 'rootdirectory', value: ['a'], message: 'must be a text that is not empty' },
        { key: 'maxthreads', value: 'many', message: 'must be a whole number' },
      ],
      warnings: [],
    });
    for (const maxthreads of [-1, 1.5, '', '1e3', true, {}]) {
      expect(parseOptions({ maxthreads }), String(maxthreads)).toHaveProperty('faults.length', 1);
    }
    expect(parseOptions({ rootdirectory: '' })).toHaveProperty('faults.length', 1);
  });

  test('that are not known are reported, and do no harm', () => {
    expect(parseOptions({ rootDirectory: '/data' })).toMatchObject({
      options: { rootdirectory: '/var/lib/registry' },
      warnings: [{ key: 'rootDirectory', message: expect.stringContaining('known are rootdirectory, maxthreads') }],
    });
    expect(storageDrivers.inmemory.parseOptions({ size: 1 })).toMatchObject({ warnings: [{ key: 'size' }] });
  });
});

describe('a driver is made by its name', () => {
  test('with its paths checked', async () => {
    for (const name of Object.keys(storageDrivers)) {
      const driver = createDriver(name, name.startsWith('s3') ? { bucket: 'registry', region: 'us-east-1' } : {});
      expect(driver.name).toBe(name === 's3aws' ? 's3' : name);
      await expect(driver.get('/../etc/passwd')).rejects.toMatchObject({ code: 'INVALID_PATH' });
    }
  });

  test('with all faults of its parameters in one error, and its warnings told', () => {
    const warnings: OptionFinding[] = [];
    const create = () =>
      createDriver('filesystem', { rootdirectory: [], maxthreads: 'x', typo: 1 }, (w) => warnings.push(w));
    expect(create).toThrow(DriverOptionsError);
    expect(create).toThrow(/rootdirectory .*; storage.filesystem.maxthreads /);
    expect(warnings.map(({ key }) => key)).toEqual(['typo', 'typo']);
  });

  test('unless there is none of that name', () => {
    expect(() => createDriver('azure')).toThrow(
      'storage.azure is a storage driver of distribution that berth does not have; there are filesystem, inmemory',
    );
    expect(() => createDriver('toString')).toThrow('storage.toString is not a storage driver');
  });
});
