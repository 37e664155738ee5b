import { expect, test } from 'vitest';
import { parseRepositoryName, type RepositoryName } from '../oci/name.ts';
import type { Marks } from './marks.ts';
import { rememberClaims } from './remembered-claims.ts';

const [app, other] = ['quay.io/team/app', 'quay.io/team/other'].map(parseRepositoryName) as [
  RepositoryName,
  RepositoryName,
];

/** Marks, and what was asked of them. */
function counted(...claimed: RepositoryName[]): { marks: Marks; asked: string[] } {
  const asked: string[] = [];
  const marks: Marks = {
    get: async () => undefined,
    put: async () => {},
    async isClaimed(name) {
      asked.push(`isClaimed ${name}`);
      return claimed.includes(name);
    },
    async claim(name) {
      asked.push(`claim ${name}`);
      claimed.push(name);
    },
  };
  return { marks, asked };
}

test('a claim is asked after once, that there is none each time', async () => {
  const { marks, asked } = counted(app);
  const { isClaimed } = rememberClaims(marks);
  expect(await Promise.all([app, other].map(isClaimed))).toEqual([true, false]);
  expect(await Promise.all([app, other].map(isClaimed))).toEqual([true, false]);
  expect(asked).toEqual([app, other, other].map((name) => `isClaimed ${name}`));
});

test('what is claimed is known, and not claimed again', async () => {
  const { marks, asked } = counted();
  const { isClaimed, claim } = rememberClaims(marks);
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
  const { isClaimed, claim } = rememberClaims(failing);
  await expect(claim(app)).rejects.toThrow('the storage is away');
  expect(await isClaimed(app)).toBe(false);
  isDown = false;
  await claim(app);
  expect(await marks.isClaimed(app)).toBe(true);
});
