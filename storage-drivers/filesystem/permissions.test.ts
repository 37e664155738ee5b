import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createFixture, type FilesystemFixture } from './testing/fixture.ts';
import { buildChild, startChild } from './testing/start-child.ts';

interface Attempt {
  call: string;
  path: string;
  outcome: 'ok' | { code: string; path: string; message: string };
}

// Run by root, the calls are made by a child that has become the user nobody: root may read everything.
describe('as a user who may not do everything', { timeout: 60_000 }, () => {
  let fixture: FilesystemFixture;
  beforeAll(buildChild, 60_000);
  beforeEach(async () => {
    fixture = await createFixture();
    await chmod(fixture.root, 0o777);
  });
  afterEach(() => fixture.dispose());

  async function attempts(...paths: string[]): Promise<Map<string, Attempt['outcome']>> {
    const steps = (await startChild('unprivileged', fixture.root, ...paths).steps()) as Attempt[];
    return new Map(steps.map(({ call, path, outcome }) => [`${call} ${path}`, outcome]));
  }

  test('an object that may not be read is STORAGE_DENIED and named, not missing', async () => {
    await mkdir(`${fixture.root}/f`, { mode: 0o777 });
    await writeFile(`${fixture.root}/f/secret`, 'x');
    await chmod(`${fixture.root}/f/secret`, 0o000);
    const outcomes = await attempts('/f/secret');
    expect(outcomes.get('check /')).toBe('ok');
    expect(outcomes.get('check for writing /')).toBe('ok');
    expect(outcomes.get('get /f/secret')).toMatchObject({ code: 'STORAGE_DENIED', path: '/f/secret' });
    expect(outcomes.get('reader /f/secret')).toMatchObject({ code: 'STORAGE_DENIED', path: '/f/secret' });
    expect(outcomes.get('stat /f/secret')).toBe('ok');
  });

  test('a folder that may not be entered is STORAGE_DENIED, not empty', async () => {
    await mkdir(`${fixture.root}/closed/inside`, { recursive: true });
    await chmod(`${fixture.root}/closed`, 0o000);
    const outcomes = await attempts('/closed', '/closed/inside');
    expect(outcomes.get('list /closed')).toMatchObject({ code: 'STORAGE_DENIED', path: '/closed' });
    for (const call of ['get', 'stat', 'list', 'put', 'writer', 'delete']) {
      expect(outcomes.get(`${call} /closed/inside`), call).toMatchObject({ code: 'STORAGE_DENIED' });
    }
  });

  test('a folder of somebody else can be read but not written', async () => {
    await mkdir(`${fixture.root}/theirs`);
    await chmod(`${fixture.root}/theirs`, 0o555);
    const outcomes = await attempts('/theirs');
    expect(outcomes.get('list /theirs')).toBe('ok');
    expect(outcomes.get('put /theirs')).toMatchObject({ code: 'STORAGE_DENIED', path: '/theirs/new' });
    expect(outcomes.get('writer /theirs')).toMatchObject({ code: 'STORAGE_DENIED', path: '/theirs/new' });
  });

  test('check says whose folder it is and what to do', async () => {
    if (process.getuid?.() === 0) await chown(fixture.root, 1234, 1234);
    for (const [mode, call, purpose] of [
      [0o555, 'check for writing /', 'written'],
      [0o000, 'check /', 'read'],
    ] as const) {
      await chmod(fixture.root, mode);
      const outcomes = await attempts();
      const outcome = outcomes.get(call);
      expect(outcome).toMatchObject({ code: 'STORAGE_DENIED' });
      const advice = new RegExp(`owned by \\d+:\\d+.*cannot be ${purpose}.*chown -R \\d+:\\d+ `);
      expect(JSON.stringify(outcome)).toMatch(advice);
      if (purpose === 'written') expect(outcomes.get('check /')).toBe('ok');
    }
    await chmod(fixture.root, 0o777);
  });
});
