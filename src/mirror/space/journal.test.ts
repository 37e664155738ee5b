import { beforeEach, expect, test } from 'vitest';
import type { StorageDriver } from '../../../storage-drivers/driver.ts';
import { createInMemoryDriver } from '../../../storage-drivers/inmemory/driver.ts';
import { digestOf } from '../../oci/digest.ts';
import { parseRepositoryName } from '../../oci/name.ts';
import { Journal } from './journal.ts';
import { Ledger, recordOf } from './ledger.ts';
import { decodeRecords, encodeRecords, type Record } from './records.ts';

const repository = parseRepositoryName('docker.io/library/alpine');
const links = [{ kind: 'blob', repository } as const];
let driver: StorageDriver;

beforeEach(() => {
  driver = createInMemoryDriver();
});

function record(content: string, used: number): Record {
  return { digest: digestOf(Buffer.from(content)), size: content.length, used, stored: 7, links };
}

function process() {
  const ledger = new Ledger();
  const journal = new Journal(driver, ledger);
  const note = (what: Record) => {
    ledger.note(what);
    journal.changed(what.digest);
  };
  return { ledger, journal, note };
}

test('what one process has stored and used another one learns', async () => {
  const [one, two] = [process(), process()];
  one.note(record('a', 100));
  two.note(record('a', 50));
  two.note(record('bb', 60));
  await one.journal.write();
  await two.journal.write();
  await Promise.all([one.journal.follow(), two.journal.follow()]);
  for (const { ledger } of [one, two]) {
    expect(ledger.bytes).toBe(3);
    expect(Array.from(ledger.entries(), ({ used }) => used).sort()).toEqual([100, 60]);
  }
});

test('what was evicted does not come back from a journal that another one wrote before', async () => {
  const [one, two] = [process(), process()];
  one.note(record('a', 100));
  await one.journal.write();
  await two.journal.follow();
  two.ledger.forget(record('a', 0).digest);
  one.note(record('b', 100));
  await one.journal.write();
  await two.journal.follow();
  expect(Array.from(two.ledger.entries(), ({ digest }) => digest)).toEqual([record('b', 0).digest]);
});

test('who starts knows all that was written, whole or in journals', async () => {
  const [one, two] = [process(), process()];
  one.note(record('a', 100));
  await one.journal.writeWhole();
  two.note(record('bb', 50));
  await two.journal.write();
  const next = process();
  await next.journal.load();
  expect(Array.from(next.ledger.entries(), recordOf)).toEqual([record('a', 100), record('bb', 50)]);
});

test('nothing is written when there is nothing new', async () => {
  const one = process();
  one.note(record('a', 100));
  await one.journal.write();
  await driver.delete('/_berth/mirror/space/journals');
  await one.journal.write();
  await expect(driver.stat('/_berth/mirror/space/journals')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
});

test('a long journal becomes the whole ledger', async () => {
  const one = process();
  for (let count = 0; count < 5_000; count += 1) one.note(record(`blob ${count}`, count));
  await one.journal.write();
  expect([...decodeRecords(await driver.get('/_berth/mirror/space/ledger'))]).toHaveLength(5_000);
  await expect(driver.stat('/_berth/mirror/space/journals')).rejects.toMatchObject({ code: 'PATH_NOT_FOUND' });
});

test('of a file that is cut short or foreign, what can be read is read', () => {
  const whole = encodeRecords([record('a', 1), record('b', 2)]).toString();
  expect([...decodeRecords(Buffer.from(whole.slice(0, -20)))]).toEqual([record('a', 1)]);
  expect([...decodeRecords(Buffer.from(`{}\n[1]\nnull\n["sha256:x",1,1,1]\n${whole}`))]).toHaveLength(2);
});
