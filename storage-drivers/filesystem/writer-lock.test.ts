import {
  lstatSync,
  lutimesSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { lstat, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { LockFiles } from './lock-file.ts';
import { processIdentity } from './process-identity.ts';
import { WriterLocks } from './writer-lock.ts';

const silence = 60_000;
const beat = 10_000;

describe('the lock of a writer', () => {
  let root: string;
  let folder: string;
  let file: string;
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), 'berth-locks-'));
    folder = `${root}/_berth/locks`;
    await mkdir(folder, { recursive: true });
    file = new LockFiles(root, silence).fileOf('/u');
  });
  afterEach(async () => {
    vi.useRealTimers();
    await rm(root, { recursive: true });
  });

  const self = processIdentity();
  const machine = { ...self, boot: 'another machine' };

  /** Where there are no links, a lock is a file. */
  const held = () => (lstatSync(file).isSymbolicLink() ? readlinkSync(file) : readFileSync(file, 'utf8'));

  /** As another process would have left it, and touched it last so long ago. */
  function leave(holder: object, age = 0): void {
    rmSync(file, { force: true });
    symlinkSync(JSON.stringify({ ...holder, nonce: 'theirs', path: '/u' }), file);
    grow(age);
  }
  function grow(age: number): void {
    const then = new Date(Date.now() - age);
    lutimesSync(file, then, then);
  }

  async function expectBusy(): Promise<void> {
    const locks = new WriterLocks(root, { beat, silence });
    await expect(locks.acquire('/u')).rejects.toMatchObject({ code: 'WRITER_BUSY', path: '/u' });
    expect(held()).toContain('theirs');
    await locks.close();
  }
  async function expectTakenOver(): Promise<void> {
    const locks = new WriterLocks(root, { beat, silence });
    const lock = await locks.acquire('/u');
    await lock.verify();
    await lock.release();
    await locks.close();
    expect(readdirSync(folder)).toEqual([]);
  }

  test('of a process that runs is respected, however long it is silent', async () => {
    leave(self, 10 * silence);
    await expectBusy();
  });

  test('of a process that is gone is taken over at once', async () => {
    // No process has a number as high as this (PID_MAX_LIMIT is 2^22).
    leave({ ...self, pid: 2 ** 22 + 1 });
    await expectTakenOver();
  });

  test('of a process whose number another one has now is taken over at once', async () => {
    leave({ ...self, started: '1' });
    await expectTakenOver();
  });

  test('of another machine or container is respected until it has been silent for long', async () => {
    for (const holder of [machine, { ...self, pidNamespace: 'pid:[1]' }, { ...self, boot: undefined }]) {
      leave(holder, silence - 5000);
      await expectBusy();
      leave(holder, silence + 5000);
      await expectTakenOver();
    }
  });

  test('that was never written to its end is respected until it is old', async () => {
    writeFileSync(file, '{"boot":"theirs');
    await expectBusy();
    grow(silence + 5000);
    await expectTakenOver();
  });

  test('is broken by one process only, also when many want it', async () => {
    for (let round = 0; round < 20; round += 1) {
      leave(machine, silence + 5000);
      const contenders = Array.from({ length: 8 }, () => new WriterLocks(root, { beat, silence }));
      const attempts = await Promise.allSettled(contenders.map((locks) => locks.acquire('/u')));
      const got = attempts.flatMap((attempt) => (attempt.status === 'fulfilled' ? [attempt.value] : []));
      expect(got.length).toBeLessThanOrEqual(1);
      for (const lock of got) await lock.release();
      await Promise.all(contenders.map((locks) => locks.close()));
      rmSync(file, { force: true });
    }
  });

  test('is not broken while another process is at it; a process that died there does not block it for ever', async () => {
    leave(machine, silence + 5000);
    writeFileSync(`${file}.breaking`, '');
    await expectBusy();
    const then = new Date(Date.now() - silence - 5000);
    utimesSync(`${file}.breaking`, then, then);
    await expectBusy();
    await expectTakenOver();
  });

  test('shows that its holder lives, at every beat', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const locks = new WriterLocks(root, { beat, silence });
    const lock = await locks.acquire('/u');
    grow(silence);
    const then = lstatSync(file).mtimeMs;
    vi.advanceTimersByTime(beat);
    await vi.waitFor(() => expect(lstatSync(file).mtimeMs).toBeGreaterThan(then));
    await lock.release();
    await locks.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('that is given back while its holder shows that it lives is gone', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const locks = new WriterLocks(root, { beat, silence });
    for (let round = 0; round < 50; round += 1) {
      const held = await Promise.all(Array.from({ length: 8 }, (_, at) => locks.acquire(`/u${at}`)));
      vi.advanceTimersByTime(beat);
      // Each at another moment of the beat, which goes from lock to lock.
      await Promise.all(held.map((lock) => lock.release()));
      await Promise.all(Array.from({ length: 20 }, () => lstat(folder)));
      expect(readdirSync(folder)).toEqual([]);
    }
    await locks.close();
  });

  test('that another machine took over is lost, and stays theirs', async () => {
    vi.useFakeTimers({ toFake: ['Date'] });
    const locks = new WriterLocks(root, { beat, silence });
    const lock = await locks.acquire('/u');
    leave(machine);
    vi.setSystemTime(Date.now() + silence);
    await expect(lock.verify()).rejects.toMatchObject({ code: 'WRITER_BUSY' });
    await lock.release();
    expect(readlinkSync(file)).toContain('theirs');
    await locks.close();
  });

  test('of a process that died while this one ran is swept within a day', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    const locks = new WriterLocks(root, { beat, silence });
    await (await locks.acquire('/other')).release();
    leave({ ...self, started: '1' });
    await vi.waitFor(() => {
      vi.advanceTimersByTime(24 * 60 * 60 * 1000);
      expect(readdirSync(folder)).toEqual([]);
    });
    await locks.close();
    expect(vi.getTimerCount()).toBe(0);
  });

  test('of a dead process on a path that nobody asks for again is swept', async () => {
    leave({ ...self, started: '1' });
    const locks = new WriterLocks(root, { beat, silence });
    const lock = await locks.acquire('/other');
    await locks.close();
    expect(readdirSync(folder)).toHaveLength(1);
    await lock.release();
    expect(readdirSync(folder)).toEqual([]);
  });
});
