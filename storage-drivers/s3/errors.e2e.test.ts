import { createServer } from 'node:net';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { StorageDriver, StorageError } from '../driver.ts';
import { namesOf } from '../testing/fixture.ts';
import { type FaultyStorage, faultyStorage } from './testing/faulty-driver.ts';

let storage: FaultyStorage;
beforeAll(async () => {
  storage = await faultyStorage();
}, 60_000);
afterAll(() => storage.dispose(), 60_000);

const calls: Readonly<Record<string, (driver: StorageDriver) => Promise<unknown>>> = {
  check: async (driver) => driver.check?.(),
  'check for writing': async (driver) => driver.check?.({ write: true }),
  get: (driver) => driver.get('/object'),
  reader: (driver) => driver.reader('/object'),
  put: (driver) => driver.put('/object', Buffer.from('x')),
  list: (driver) => namesOf(driver, '/folder'),
  kept: (driver) => driver.kept('/upload'),
  delete: (driver) => driver.delete('/folder'),
  async append(driver) {
    const writer = await driver.writer('/upload', { append: true });
    await writer.write(Buffer.from('x'));
    await writer.close();
  },
};

async function faultsOf(over: Record<string, unknown>): Promise<[call: string, fault: StorageError][]> {
  const driver = storage.another(over);
  return Promise.all(
    Object.entries(calls).map(async ([name, call]): Promise<[string, StorageError]> => {
      const fault: unknown = await call(driver).then(
        () => new Error(`${name} succeeded`),
        (error: unknown) => error,
      );
      return [name, fault as StorageError];
    }),
  );
}

/** Every call says it, with the same code, and tells no secret. */
async function expectFault(over: Record<string, unknown>, code: string, message: RegExp): Promise<void> {
  const secrets = [storage.parameters.secretkey, over.secretkey, over.sessiontoken].filter(
    (secret): secret is string => typeof secret === 'string',
  );
  for (const [call, fault] of await faultsOf(over)) {
    expect(fault, call).toMatchObject({ code, driver: 's3', message: expect.stringMatching(message) });
    for (const secret of secrets) expect(`${fault.message} ${fault.stack}`, call).not.toContain(secret);
  }
}

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}

describe('what is wrong is said with what to do', { timeout: 60_000 }, () => {
  test('a secret key that does not fit', () =>
    expectFault(
      { secretkey: 'not-the-secret-of-anybody' },
      'STORAGE_DENIED',
      /refuses the signature.*storage\.s3\.secretkey/,
    ));

  test('an access key that nobody has', () =>
    expectFault({ accesskey: 'AKNOBODY' }, 'STORAGE_DENIED', /does not know the access key.*storage\.s3\.accesskey/));

  test('a bucket that is not there', () =>
    expectFault(
      { bucket: 'no-such-bucket-anywhere' },
      'STORAGE_MISSING',
      /no bucket no-such-bucket-anywhere at http.*storage\.s3\.bucket/,
    ));

  test('a bucket that belongs to somebody else, or a policy that forbids it', async () => {
    const remove = storage.proxy.inject({ fault: { kind: 'answer', status: 403, code: 'AccessDenied' } });
    await expectFault({}, 'STORAGE_DENIED', /does not allow it .*check the credentials and the policy of bucket/);
    remove();
  });

  test('a region that is another one', async () => {
    const remove = storage.proxy.inject({ fault: { kind: 'answer', status: 301, code: 'PermanentRedirect' } });
    await expectFault({}, 'STORAGE_MISSING', /is not in the region us-east-1.*storage\.s3\.region/);
    remove();
  });

  test('a clock that is wrong', async () => {
    const remove = storage.proxy.inject({ fault: { kind: 'answer', status: 403, code: 'RequestTimeTooSkewed' } });
    await expectFault({}, 'STORAGE_DENIED', /clock of this machine/);
    remove();
  });

  test('a full store', async () => {
    const remove = storage.proxy.inject({
      fault: { kind: 'answer', status: 403, code: 'QuotaExceeded' },
      operations: ['PutObject'],
    });
    for (const path of ['/a', '/b']) {
      await expect(storage.driver.put(path, Buffer.from('x'))).rejects.toMatchObject({ name: 'StorageFullError' });
    }
    remove();
  });

  test('a server that does not listen', async () => {
    const endpoint = `http://127.0.0.1:${await closedPort()}`;
    await expectFault(
      { regionendpoint: endpoint },
      'STORAGE_UNAVAILABLE',
      /127\.0\.0\.1:\d+ does not answer.*ECONNREFUSED/,
    );
  });

  test('a host that has no address', () =>
    expectFault(
      { regionendpoint: 'http://nowhere.invalid:9000' },
      'STORAGE_UNAVAILABLE',
      /nowhere\.invalid:9000 does not answer.*(ENOTFOUND|EAI_AGAIN)/,
    ));

  test('TLS where the server speaks none', () =>
    expectFault(
      { regionendpoint: storage.proxy.endpoint.replace('http:', 'https:') },
      'STORAGE_UNAVAILABLE',
      /does not answer/,
    ));

  test('a page of somebody else', async () => {
    const remove = storage.proxy.inject({ fault: { kind: 'answer', status: 200 } });
    await expectFault({}, 'STORAGE_UNAVAILABLE', /not the answer of an S3 server|something else came/);
    remove();
  });
});
