import { describe, expect, test } from 'vitest';
import { parseS3Options, type S3Options } from './options.ts';

const least = { bucket: 'images', region: 'eu-central-1' };
const mebibyte = 1024 * 1024;

const defaults: S3Options = {
  bucket: 'images',
  region: 'eu-central-1',
  regionendpoint: undefined,
  redirectendpoint: undefined,
  forcepathstyle: false,
  credentials: undefined,
  encrypt: false,
  keyid: undefined,
  secure: true,
  skipverify: false,
  chunksize: 10 * mebibyte,
  multipartcopychunksize: 32 * mebibyte,
  multipartcopymaxconcurrency: 100,
  multipartcopythresholdsize: 32 * mebibyte,
  rootdirectory: '',
  storageclass: 'STANDARD',
  objectacl: 'private',
  useragent: undefined,
  accelerate: false,
  usedualstack: false,
  usefipsendpoint: false,
};

function optionsOf(parameters: Record<string, unknown>): S3Options {
  const parsed = parseS3Options({ ...least, ...parameters });
  if ('faults' in parsed) throw new Error(JSON.stringify(parsed.faults));
  return parsed.options;
}

/** Faults and warnings as `key message`. */
function findingsOf(parameters: Record<string, unknown>) {
  const parsed = parseS3Options(parameters);
  const lines = (findings: readonly { key: string; message: string }[]) =>
    findings.map(({ key, message }) => `${key} ${message}`);
  return { faults: lines('faults' in parsed ? parsed.faults : []), warnings: lines(parsed.warnings), parsed };
}

describe('the options', () => {
  test('have defaults for all but the bucket and its region', () => {
    expect(parseS3Options(least)).toEqual({ options: defaults, warnings: [] });
  });

  test('take an empty key for one that is not there, as YAML has it', () => {
    const empty = Object.fromEntries(Object.keys(defaults).map((key) => [key, null]));
    expect(optionsOf({ ...empty, accesskey: '', secretkey: '', ...least })).toEqual(defaults);
  });

  test.each([
    [{ regionendpoint: 'https://minio:9000' }, { regionendpoint: 'https://minio:9000', forcepathstyle: true }],
    [{ regionendpoint: 'https://minio:9000/' }, { regionendpoint: 'https://minio:9000', forcepathstyle: true }],
    [{ regionendpoint: 'minio:9000' }, { regionendpoint: 'https://minio:9000', forcepathstyle: true }],
    [
      { regionendpoint: 'minio:9000', secure: 'false' },
      { regionendpoint: 'http://minio:9000', forcepathstyle: true, secure: false },
    ],
    [
      { regionendpoint: 'http://[::1]:9000', forcepathstyle: false },
      { regionendpoint: 'http://[::1]:9000', forcepathstyle: false },
    ],
    [{ redirectendpoint: 'cdn.example.com' }, { redirectendpoint: 'https://cdn.example.com' }],
    [{ forcepathstyle: 'yes' }, { forcepathstyle: true }],
    [
      { accesskey: 'key', secretkey: 'secret' },
      { credentials: { accesskey: 'key', secretkey: 'secret', sessiontoken: undefined } },
    ],
    [
      { accesskey: 1234, secretkey: '5678', sessiontoken: 'token' },
      { credentials: { accesskey: '1234', secretkey: '5678', sessiontoken: 'token' } },
    ],
    [
      { encrypt: 'true', keyid: 'arn:aws:kms:1' },
      { encrypt: true, keyid: 'arn:aws:kms:1' },
    ],
    [{ skipverify: '1' }, { skipverify: true }],
    [{ chunksize: '5242880' }, { chunksize: 5 * mebibyte }],
    [{ chunksize: 5 * 1024 * mebibyte }, { chunksize: 5 * 1024 * mebibyte }],
    [{ multipartcopychunksize: '33554432' }, { multipartcopychunksize: 32 * mebibyte }],
    [{ multipartcopymaxconcurrency: 0 }, { multipartcopymaxconcurrency: 1 }],
    [{ multipartcopymaxconcurrency: '7' }, { multipartcopymaxconcurrency: 7 }],
    [{ multipartcopythresholdsize: '0' }, { multipartcopythresholdsize: 0 }],
    [{ multipartcopythresholdsize: 2 ** 50 }, { multipartcopythresholdsize: 5 * 1024 * mebibyte }],
    [{ rootdirectory: '/some/folder' }, { rootdirectory: '/some/folder' }],
    [{ rootdirectory: '.hidden/..x/y.' }, { rootdirectory: '.hidden/..x/y.' }],
    [{ storageclass: 'standard_ia' }, { storageclass: 'STANDARD_IA' }],
    [{ storageclass: 'none' }, { storageclass: 'NONE' }],
    [{ objectacl: 'bucket-owner-full-control' }, { objectacl: 'bucket-owner-full-control' }],
    [{ useragent: 'registry of the house' }, { useragent: 'registry of the house' }],
    [{ accelerate: 'on' }, { accelerate: true }],
    [{ usedualstack: true }, { usedualstack: true }],
    [{ usefipsendpoint: 't' }, { usefipsendpoint: true }],
    [{ v4auth: 'true', loglevel: 'debug', multipartcombinesmallpart: true }, {}],
  ])('are read as distribution spells them: %j', (parameters, expected) => {
    expect(optionsOf(parameters)).toEqual({ ...defaults, ...expected });
    expect(findingsOf({ ...least, ...parameters }).warnings).toEqual([]);
  });

  test('need no region with an endpoint', () => {
    const { parsed } = findingsOf({ bucket: 'b', regionendpoint: 'http://localhost:9000' });
    expect(parsed).toMatchObject({ options: { region: 'us-east-1' } });
  });

  test.each([
    [{ region: 'x' }, 'bucket is required'],
    [{ bucket: '', region: 'x' }, 'bucket is required'],
    [{ bucket: 'b' }, 'region is required'],
    [{ ...least, accesskey: 'only' }, 'secretkey is missing'],
    [{ ...least, secretkey: 'only' }, 'accesskey is missing'],
    [{ ...least, regionendpoint: 'ftp://host' }, 'regionendpoint must be the address of a server'],
    [{ ...least, regionendpoint: 'http://host/?a=b' }, 'regionendpoint must be the address of a server'],
    [{ ...least, regionendpoint: 'https://user:secret@host' }, 'regionendpoint must be the address of a server'],
    [{ ...least, redirectendpoint: 'http://' }, 'redirectendpoint must be the address of a server'],
    [{ ...least, chunksize: 5 * mebibyte - 1 }, 'chunksize must be from 5242880'],
    [{ ...least, chunksize: '10MB' }, 'chunksize must be a whole number'],
    [{ ...least, chunksize: 6 * 1024 * mebibyte }, 'chunksize must be from 5242880'],
    [{ ...least, multipartcopychunksize: 1 }, 'multipartcopychunksize must be from 5242880'],
    [{ ...least, multipartcopymaxconcurrency: -1 }, 'multipartcopymaxconcurrency must be a whole number'],
    [{ ...least, encrypt: 'maybe' }, 'encrypt must be true or false'],
    [{ ...least, storageclass: 'COLD' }, 'storageclass must be one of NONE, STANDARD'],
    [{ ...least, objectacl: 'everybody' }, 'objectacl must be one of private'],
    [{ ...least, bucket: { name: 'b' } }, 'bucket must be a text'],
  ])('are refused with the key and the rule: %j', (parameters, fault) => {
    const { faults } = findingsOf(parameters);
    expect(faults).toContainEqual(expect.stringContaining(fault));
  });

  test.each(['b', 'Old_Bucket.name', 'tenant:bucket', 'arn:aws:s3:eu-central-1:123456789012:accesspoint/name'])(
    'take %s for the name of a bucket',
    (bucket) => {
      expect(optionsOf({ bucket }).bucket).toBe(bucket);
    },
  );

  test.each(['a/b', '..', '.', '-a', 'a b', 'a?b', 'a%2fb', 'https://host/bucket', 'a'.repeat(256)])(
    'do not take %s for the name of a bucket',
    (bucket) => {
      expect(findingsOf({ ...least, bucket }).faults).toEqual([expect.stringContaining('bucket must be the name of')]);
    },
  );

  test.each(['.', '..', '/.', '/../x', 'x/./y', 'x/..'])(
    'have no root directory %s, which URLs do not keep',
    (path) => {
      const { faults } = findingsOf({ ...least, rootdirectory: path });
      expect(faults).toEqual([expect.stringContaining('rootdirectory must not have . or ..')]);
    },
  );

  test('are refused all at once', () => {
    const { faults } = findingsOf({ chunksize: 1, storageclass: 'COLD', encrypt: 'maybe' });
    expect(faults.map((fault) => fault.split(' ')[0])).toEqual(
      expect.arrayContaining(['bucket', 'region', 'chunksize', 'storageclass', 'encrypt']),
    );
  });

  test.each([
    [{ keyid: 'arn' }, 'keyid has no effect without encrypt'],
    [{ v4auth: false }, 'v4auth has no effect'],
    [{ rootdirectory: 'a%20b' }, 'rootdirectory has a %'],
    [{ chunkSize: 1 }, 'chunkSize is not known and ignored'],
  ])('that do nothing are warned of: %j', (parameters, warning) => {
    expect(findingsOf({ ...least, ...parameters }).warnings).toEqual([expect.stringContaining(warning)]);
  });

  test('never tell a secret', () => {
    const secrets = { accesskey: { a: 'hidden-1' }, secretkey: 'hidden-2', sessiontoken: ['hidden-3'] };
    const told = [
      parseS3Options({ ...least, ...secrets }),
      parseS3Options({ ...least, secretkey: 'hidden-2' }),
      parseS3Options({ ...least, sessiontoken: 'hidden-3', accesskey: 'hidden-1' }),
      // As an address may carry them.
      parseS3Options({ ...least, regionendpoint: 'https://user:hidden-4@host' }),
    ];
    for (const parsed of told) {
      expect('faults' in parsed).toBe(true);
      expect(JSON.stringify(parsed)).not.toContain('hidden');
    }
  });
});
