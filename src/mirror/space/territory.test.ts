import { expect, test } from 'vitest';
import { parseRepositoryName } from '../../oci/name.ts';
import { createTerritory } from './territory.ts';

const claimed = new Set(['docker.io/library/alpine', 'quay.io/team/app']);

test.each([
  ['docker.io/library/alpine', true],
  ['quay.io/team/app', true],
  ['quay.io/team/pushed', false],
  ['docker.io', false],
  ['team/app', false],
])('%s is a mirror: %s', async (name, expected) => {
  const territory = createTerritory(['docker.io', 'quay.io'], async (name) => claimed.has(name));
  expect(await territory.has(parseRepositoryName(name))).toBe(expected);
  expect(territory.sharesWithHosted).toBe(true);
});

test('with an empty prefix everything is one', async () => {
  const territory = createTerritory([''], async () => false);
  expect(await territory.has(parseRepositoryName('team/app'))).toBe(true);
  expect([territory.reaches('team'), territory.sharesWithHosted]).toEqual([true, false]);
});

test('a walk goes where a mirror may be', () => {
  const { reaches } = createTerritory(['hub/inner'], async () => true);
  expect(['hub', 'hub/inner', 'hub/inner/a', 'hub/other', 'hubs'].map(reaches)).toEqual([
    true,
    true,
    true,
    false,
    false,
  ]);
});
