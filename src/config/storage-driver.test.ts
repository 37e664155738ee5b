import { inspect } from 'node:util';
import { describe, expect, test } from 'vitest';
import { revealSecrets } from './secret.ts';
import { faultsOf, loadText, warningsOf } from './testing/load-text.ts';

const file = `version: 0.1
storage:
  delete: {enabled: true}
  maintenance: {uploadpurging: {enabled: false}}
  filesystem:
    rootdirectory: /data
`;

async function storageWith(text: string, environment: Record<string, string> = {}) {
  return (await loadText(text, environment)).config.storage;
}

describe('the storage driver', () => {
  test('is the name that is no setting', async () => {
    expect((await storageWith(file)).driver).toEqual({ name: 'filesystem', parameters: { rootdirectory: '/data' } });
  });

  test.each([
    'storage: inmemory',
    'storage: {inmemory: }',
    'storage: {inmemory: {}}',
    'storage: {inmemory: ~, cache: }',
  ])('needs no parameters: %s', async (storage) => {
    expect((await storageWith(`version: 0.1\n${storage}`)).driver).toEqual({ name: 'inmemory', parameters: {} });
  });

  test('set by REGISTRY_STORAGE replaces the whole section', async () => {
    const storage = await storageWith(file, {
      REGISTRY_STORAGE: 's3',
      REGISTRY_STORAGE_S3_BUCKET: '0123',
      REGISTRY_STORAGE_S3_REGION: 'us-east-1',
      REGISTRY_STORAGE_S3_CHUNKSIZE: '10485760',
      REGISTRY_STORAGE_S3_SECURE: 'no',
      REGISTRY_STORAGE_S3_ACCESSKEY: '',
    });
    expect(storage.driver).toEqual({
      name: 's3',
      parameters: { bucket: '0123', region: 'us-east-1', chunksize: 10_485_760, secure: false },
    });
    expect([storage.delete.enabled, storage.maintenance.uploadpurging.enabled]).toEqual([false, true]);
  });

  test('may be set as YAML', async () => {
    const { driver } = await storageWith(file, { REGISTRY_STORAGE: '{s3: {bucket: b}, delete: {enabled: true}}' });
    expect(driver).toEqual({ name: 's3', parameters: { bucket: 'b' } });
  });

  test('keeps the section when only its parameters are set', async () => {
    const storage = await storageWith(file, { REGISTRY_STORAGE_FILESYSTEM_ROOTDIRECTORY: '/other' });
    expect([storage.driver.parameters, storage.delete.enabled]).toEqual([{ rootdirectory: '/other' }, true]);
  });

  test('hands secrets to the driver as they are spelt, and prints none', async () => {
    const { config } = await loadText(file, {
      REGISTRY_STORAGE: 's3',
      REGISTRY_STORAGE_S3_BUCKET: 'b',
      REGISTRY_STORAGE_S3_SECRETKEY: '00123456',
    });
    expect(revealSecrets(config.storage.driver.parameters)).toEqual({ bucket: 'b', secretkey: '00123456' });
    expect(JSON.stringify(config) + inspect(config, { depth: 20, showHidden: true })).not.toContain('00123456');
  });

  test('names its faults by place, without secrets even where it quotes them', async () => {
    const text = 'version: 0.1\nstorage:\n  s3:\n    region: a\n    secretkey: a"b\n';
    expect(await faultsOf(text)).toEqual([
      'config.yml:3: storage.s3.bucket is missing',
      'config.yml:5: storage.s3.secretkey "<redacted>" must have 6 characters, not "<redacted>"',
    ]);
  });

  test('names its warnings by place', async () => {
    const loaded = await loadText('version: 0.1\nstorage: {s3: {bucket: b}}', { REGISTRY_STORAGE_S3_ACL: 'public' });
    expect(warningsOf(loaded)).toEqual(['REGISTRY_STORAGE_S3_ACL: storage.s3.acl "public" is not known']);
  });
});

describe('a storage driver is refused', () => {
  const two =
    'config.yml:2: storage must name exactly one storage driver, and has filesystem (config.yml:5) and s3 (REGISTRY_STORAGE_S3_BUCKET). A variable adds to the section; to replace it, set REGISTRY_STORAGE=s3 too';
  const stand =
    'storage.s3.secretkey "<redacted>" is what a printed configuration shows in place of a secret: put the secret itself here';

  test.each<[string, string, Record<string, string>, string]>([
    ['beside that of the file', file, { REGISTRY_STORAGE_S3_BUCKET: 'b' }, two],
    [
      'beside another',
      'version: 0.1\nstorage: {s3: {bucket: b}, inmemory: }',
      {},
      'config.yml:2: storage must name exactly one storage driver, and has s3 (config.yml:2) and inmemory (config.yml:2)',
    ],
    [
      'when there is none',
      'version: 0.1',
      {},
      'config.yml:1: storage must name a storage driver: one of filesystem, inmemory, s3',
    ],
    [
      'when the variable is empty',
      file,
      { REGISTRY_STORAGE: '' },
      'REGISTRY_STORAGE: storage must name a storage driver: one of filesystem, inmemory, s3',
    ],
    [
      'that berth does not have',
      'version: 0.1\nstorage: {azure: {accountkey: k}}',
      {},
      'config.yml:2: storage.azure is a storage driver that berth does not have; it has filesystem, inmemory, s3',
    ],
    [
      'that nobody has',
      'version: 0.1\nstorage: floppy',
      {},
      'config.yml:2: storage.floppy is neither a storage driver nor a setting; the drivers are filesystem, inmemory, s3',
    ],
    [
      'that was meant to be another',
      'version: 0.1\nstorage: {filesytem: }',
      {},
      'config.yml:2: storage.filesytem is neither a storage driver nor a setting; did you mean storage.filesystem?',
    ],
    [
      'that was meant to be a setting',
      file,
      { REGISTRY_STORAGE_DELET_ENABLED: 'true' },
      'REGISTRY_STORAGE_DELET_ENABLED: storage.delet is neither a storage driver nor a setting; did you mean storage.delete?',
    ],
    [
      'whose name JavaScript knows',
      'version: 0.1\nstorage: constructor',
      {},
      'config.yml:2: storage.constructor is neither a storage driver nor a setting; the drivers are filesystem, inmemory, s3',
    ],
    [
      'that is no section',
      'version: 0.1\nstorage: {inmemory: 5}',
      {},
      'config.yml:2: storage.inmemory must be a section with the driver’s parameters',
    ],
    [
      'with the stand-in of a secret',
      'version: 0.1\nstorage: {s3: {bucket: b, secretkey: <redacted>}}',
      {},
      `config.yml:2: ${stand}`,
    ],
  ])('%s', async (_when, text, environment, fault) => expect(await faultsOf(text, environment)).toEqual([fault]));
});
