import { expect, test } from 'vitest';
import { type Digest, digestOf } from '../oci/digest.ts';
import { parseRepositoryName, type RepositoryName } from '../oci/name.ts';
import type { Marks } from './marks.ts';
import { rememberMarks } from './remembered-marks.ts';

const [app, other] = ['quay.io/team/app', 'quay.io/team/other'].map(parseRepositoryName) as [
  RepositoryName,
  RepositoryName,
];

/** Marks, and what was asked of them. */
function counted(...given: RepositoryName[]): { marks: Marks; asked: string[] } {
  const asked: string[] = [];
  const claimed = new Set(given);
  const brought = new Set<Digest>();
  const noted =
    <Key extends string, T>(what: string, answer: (key: Key) => T) =>
    async (key: Key) => {
      asked.push(`${what} ${key}`);
      return answer(key);
    };
  const marks: Marks = {
    get: async () => undefined,
    put: async () => {},
    isClaimed: noted('isClaimed', (name: RepositoryName) => claimed.has(name)),
    claim: noted('claim', (name: RepositoryName) => void claimed.add(name)),
    withdraw: noted('withdraw', (name: RepositoryName) => void claimed.delete(name)),
    isBrought: noted('isBrought', (digest: Digest) => brought.has(digest)),
    bring: noted('bring', (digest: Digest) => void brought.add(digest)),
  };
  return { marks, asked };
}

test('a claim is asked after once, that there is none each time', async () => {
  const { marks, asked } = counted(app);
  const { isClaimed } = rememberMarks(marks);
  expect(await Promise.all([app, other].map(isClaimed))).toEqual([true, false]);
  expect(await Promise.all([app, other].map(isClaimed))).toEqual([true, false]);
  expect(asked).toEqual([app, other, other].map((name) => `isClaimed ${name}`));
});

test('what is claimed is known, and not claimed again', async () => {
  const { marks, asked } = counted();
  const { isClaimed, claim } = rememberMarks(marks);
  await claim(app);
  await claim(app);
  expect(await isClaimed(app)).toBe(true);
  expect(asked).toEqual([`claim ${app}`]);
});

test('a claim that could not be kept is made again', async () => {
  const { marks } = counted();
  let isDown = true;
  const failing: Marks = {
    ...marks,
    async claim(name) {
      if (isDown) throw new Error('the storage is away');
      await marks.claim(name);
    },
  };
  const { isClaimed, claim } = rememberMarks(failing);
  await expect(claim(app)).rejects.toThrow('the storage is away');
  expect(await isClaimed(app)).toBe(false);
  isDown = false;
  await claim(app);
  expect(await marks.isClaimed(app)).toBe(true);
});

test('a claim that is withdrawn is none', async () => {
  const { marks } = counted(app);
  const { isClaimed, withdraw } = rememberMarks(marks);
  expect(await isClaimed(app)).toBe(true);
  await withdraw(app);
  expect(await isClaimed(app)).toBe(false);
});

test('that a blob was brought is asked after once, that it was not each time', async () => {
  const { marks, asked } = counted();
  const digest = digestOf(Buffer.from('blob'));
  const { isBrought, bring } = rememberMarks(marks);
  expect([await isBrought(digest), await isBrought(digest)]).toEqual([false, false]);
  await bring(digest);
  await bring(digest);
  expect(await isBrought(digest)).toBe(true);
  expect(asked).toEqual([`isBrought ${digest}`, `isBrought ${digest}`, `bring ${digest}`]);
  expect(await rememberMarks(marks).isBrought(digest)).toBe(true);
});
