import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { digestOf } from '../../oci/digest.ts';
import { parseRepositoryName } from '../../oci/name.ts';
import type { ContentReader } from '../../registry/registry.ts';
import type { UpstreamBlob } from '../upstream/blobs.ts';
import { DigestMismatchError, type DownloadSource } from './download.ts';
import { Downloads } from './downloads.ts';
import { SpoolError } from './growing-file.ts';

let folder: string;
let stored: string;
const ends: unknown[] = [];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'berth-downloads-'));
  stored = join(folder, 'stored');
  ends.length = 0;
});
afterEach(() => {
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

const content = randomBytes(3 * 1024 * 1024 + 17);
const digest = digestOf(content);
const whole = { start: 0, end: content.length - 1 };
class BrokenOff extends Error {}

type Answered = Pick<UpstreamBlob, 'size' | 'start' | 'body'> & { readonly endpoint?: string };

/** An upstream: what it does at each request, and what was asked of it. */
function upstream(...answers: ((start: number) => AsyncGenerator<Buffer> | Answered)[]) {
  const asked: number[] = [];
  let closed = 0;
  const open = async (start: number): Promise<UpstreamBlob> => {
    const answer = answers[Math.min(asked.length, answers.length - 1)];
    asked.push(start);
    const given = answer?.(start);
    if (given === undefined) throw new Error('nothing to answer');
    const blob = 'size' in given ? given : { size: content.length, start, body: given };
    return {
      endpoint: 'https://upstream',
      ...blob,
      close() {
        closed += 1;
      },
    };
  };
  return { open, asked, closed: () => closed };
}

async function* from(start: number, end = content.length, step = 100_000): AsyncGenerator<Buffer> {
  for (let at = start; at < end; at += step) {
    await delay(0);
    yield content.subarray(at, Math.min(at + step, end));
  }
}

async function* thenBreaksOff(start: number, end: number): AsyncGenerator<Buffer> {
  yield* from(start, end);
  throw new BrokenOff('the connection was reset');
}

const team = parseRepositoryName('team/app');

function sourceOf(open: DownloadSource['open'], over: Partial<DownloadSource> = {}): DownloadSource {
  return {
    digest,
    upstream: 'docker.io',
    repository: team,
    open,
    judge: (error) => (error instanceof BrokenOff ? 'transient' : 'final'),
    distrust: () => false,
    wait: async () => {},
    store: async (bytes) => writeFile(stored, await bytes()),
    ...over,
  };
}

function begin(open: DownloadSource['open'], downloads = newDownloads(), over: Partial<DownloadSource> = {}) {
  return downloads.begin(sourceOf(open, over)).begun();
}

function newDownloads(max = 10) {
  return new Downloads({ folder: join(folder, 'spool'), max, onEnd: (_, error) => ends.push(error) });
}

function opened(reader: ContentReader | undefined): ContentReader {
  if (reader === undefined) throw new Error('it has ended');
  return reader;
}

async function bytesOf(reader: ContentReader | undefined): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of opened(reader)) chunks.push(Buffer.from(chunk));
  return Buffer.concat(chunks);
}

const spooled = () =>
  readdirSync(join(folder, 'spool'), { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());

test('a blob comes once, to all who ask meanwhile, whole or in part', async () => {
  const { open, asked, closed } = upstream((start) => from(start));
  const downloads = newDownloads();
  const readers = await Promise.all(
    Array.from({ length: 20 }, async (_, index) => {
      await delay(index);
      const download = await begin(open, downloads);
      const range = index % 2 === 0 ? whole : { start: index * 1000, end: content.length - index };
      return { range, bytes: await bytesOf(download.read(range)) };
    }),
  );
  for (const { range, bytes } of readers) {
    expect(bytes.equals(content.subarray(range.start, range.end + 1))).toBe(true);
  }
  expect(asked).toEqual([0]);
  expect(closed()).toBe(1);
  await vi.waitFor(() => expect(ends).toEqual([undefined]));
  expect(readFileSync(stored).equals(content)).toBe(true);
  await vi.waitFor(() => expect(spooled()).toEqual([]));
  expect(downloads.running).toBe(0);
});

test('the first byte is given before the last has come', async () => {
  let go: () => void = () => {};
  const more = new Promise<void>((resolve) => {
    go = resolve;
  });
  const { open } = upstream(async function* (start) {
    yield* from(start, 500_000);
    await more;
    yield* from(500_000);
  });
  const download = await begin(open);
  const reader = opened(download.read(whole))[Symbol.asyncIterator]();
  const first = await reader.next();
  expect(first.done).toBe(false);
  expect(download.received).toBeLessThanOrEqual(500_000);
  go();
  await download.stored;
  await reader.return?.();
});

describe('an upstream that breaks off', () => {
  test('is asked for the rest', async () => {
    const { open, asked } = upstream(
      (start) => thenBreaksOff(start, 1_000_000),
      (start) => thenBreaksOff(start, 2_500_000),
      (start) => from(start),
    );
    const download = await begin(open);
    expect((await bytesOf(download.read(whole))).equals(content)).toBe(true);
    expect(asked).toEqual([0, 1_000_000, 2_500_000]);
  });

  test('without an error is asked for the rest, too', async () => {
    const { open, asked } = upstream(
      (start) => from(start, 1_000_000),
      (start) => from(start),
    );
    expect((await bytesOf((await begin(open)).read(whole))).equals(content)).toBe(true);
    expect(asked).toEqual([0, 1_000_000]);
  });

  test('and knows no ranges sends it all again, which is not stored twice', async () => {
    const { open } = upstream(
      (start) => thenBreaksOff(start, 1_000_001),
      () => ({ size: content.length, start: 0, body: from(0) }),
    );
    const download = await begin(open);
    expect((await bytesOf(download.read(whole))).equals(content)).toBe(true);
    await download.stored;
    expect(readFileSync(stored).equals(content)).toBe(true);
  });

  test.each([
    ['with an error', (start: number) => thenBreaksOff(start, start)],
    ['without one', (start: number) => from(start, start)],
  ])('again and again is given up, %s', async (_, answer) => {
    const { open, asked } = upstream(answer);
    const download = await begin(open);
    await expect(bytesOf(download.read(whole))).rejects.toThrow(/reset|broke off/);
    expect(asked.length).toBe(5);
    expect(existsSync(stored)).toBe(false);
    await vi.waitFor(() => expect(spooled()).toEqual([]));
  });
});

test('who stops does not wait for the next attempt at an upstream that broke off', async () => {
  const downloads = newDownloads();
  const { open } = upstream((start) => thenBreaksOff(start, 100_000));
  const wait = vi.fn(() => new Promise<void>(() => {}));
  const download = await begin(open, downloads, { wait });
  await vi.waitUntil(() => wait.mock.calls.length > 0);
  await downloads.close();
  await expect(download.stored).rejects.toThrow('the server stops');
});

test('one that gives another size in the middle is not distrusted for that, but who gave the first one', async () => {
  const { open } = upstream(
    () => ({ endpoint: 'https://first', size: content.length + 1, start: 0, body: thenBreaksOff(0, 1_000_000) }),
    (start) => ({ endpoint: 'https://second', size: content.length, start, body: from(start) }),
  );
  const distrusted: string[] = [];
  const distrust = (endpoints: ReadonlySet<string>) => distrusted.push(...endpoints) > 0;
  const download = await begin(open, newDownloads(), { distrust });
  await download.read({ start: 0, end: 9 })?.close();
  await expect(download.stored).rejects.toThrow();
  expect(distrusted).toEqual(['https://first']);
});

test('one that lies about the size, too, is distrusted alone', async () => {
  const { open } = upstream(
    () => ({ endpoint: 'https://liar', size: 6, start: 0, body: from(0, 6) }),
    (start) => from(start),
  );
  const distrusted: string[] = [];
  const distrust = (endpoints: ReadonlySet<string>) => distrusted.push(...endpoints) > 0;
  const download = await begin(open, newDownloads(), { distrust });
  await expect(download.stored).rejects.toThrow('another size');
  expect(distrusted).toEqual(['https://liar']);
});

describe('an upstream that lies', () => {
  const wrong = Buffer.from(content);
  wrong[content.length - 1] = (wrong[content.length - 1] ?? 0) ^ 1;

  test('about the content is found out, and no reader gets all of it', async () => {
    const { open } = upstream(async function* () {
      yield wrong;
    });
    const download = await begin(open);
    const chunks: Buffer[] = [];
    await expect(
      (async () => {
        for await (const chunk of download.read(whole) ?? []) chunks.push(Buffer.from(chunk));
      })(),
    ).rejects.toThrow(DigestMismatchError);
    expect(Buffer.concat(chunks).length).toBeLessThan(content.length);
    expect(existsSync(stored)).toBe(false);
    await vi.waitFor(() => expect(spooled()).toEqual([]));
  });

  test.each([
    ['too many bytes', () => ({ size: content.length, start: 0, body: twice() })],
    ['another size the second time', secondTime({ size: content.length + 1 })],
    ['a later beginning', secondTime({ start: 1_500_000 })],
  ])('with %s stores nothing', async (_, answer) => {
    const { open } = upstream(answer as (start: number) => Answered);
    const download = await begin(open);
    await expect(download.stored).rejects.toThrow();
    expect(existsSync(stored)).toBe(false);
    await vi.waitFor(() => expect(spooled()).toEqual([]));
  });

  async function* twice(): AsyncGenerator<Buffer> {
    yield* from(0);
    yield* from(0);
  }

  function secondTime(over: Partial<UpstreamBlob>) {
    return (start: number): Answered => {
      const blob = { size: content.length, start, body: thenBreaksOff(start, 1_000_000) };
      return start === 0 ? blob : { ...blob, body: from(start), ...over };
    };
  }
});

test('what the upstream refuses is heard by all who asked, and asked again by the next', async () => {
  let refuse = true;
  const { open, asked } = upstream((start) => {
    if (refuse) throw new Error('no such blob');
    return from(start);
  });
  const downloads = newDownloads();
  const both = await Promise.allSettled([begin(open, downloads), begin(open, downloads)]);
  expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(asked).toEqual([0]);
  refuse = false;
  await (await begin(open, downloads)).stored;
  expect(asked).toEqual([0, 0]);
});

describe('readers that leave', () => {
  async function leaveAfter(bytes: number) {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    let go: () => void = () => {};
    const more = new Promise<void>((resolve) => {
      go = resolve;
    });
    const { open } = upstream(async function* () {
      yield content.subarray(0, bytes);
      await more;
      yield content.subarray(bytes);
    });
    const download = await begin(open);
    await vi.waitFor(() => expect(download.received).toBe(bytes));
    const reader = opened(download.read(whole))[Symbol.asyncIterator]();
    await reader.next();
    await reader.return?.();
    return { download, go };
  }

  test('soon end the download, some seconds later', async () => {
    const { download, go } = await leaveAfter(200_000);
    const outcome = download.stored.catch((error: Error) => error.message);
    vi.advanceTimersByTime(9_000);
    vi.advanceTimersByTime(2_000);
    go();
    expect(await outcome).toBe('nobody waits for it any more');
    await vi.waitFor(() => expect(spooled()).toEqual([]));
  });

  test('late leave it to come to its end', async () => {
    const { download, go } = await leaveAfter(1_000_000);
    vi.advanceTimersByTime(60_000);
    go();
    await download.stored;
    expect(readFileSync(stored).equals(content)).toBe(true);
  });

  test('and come back find it going on', async () => {
    const { download, go } = await leaveAfter(200_000);
    vi.advanceTimersByTime(9_000);
    const bytes = bytesOf(download.read(whole));
    vi.advanceTimersByTime(60_000);
    go();
    expect((await bytes).equals(content)).toBe(true);
  });
});

test('a reader that is slow, aborted or closed holds up nobody, and leaves nothing open', async () => {
  const { open } = upstream((start) => from(start));
  const download = await begin(open);
  const slow = opened(download.read(whole))[Symbol.asyncIterator]();
  await slow.next();
  const aborter = new AbortController();
  const aborted = bytesOf(download.read(whole, aborter.signal));
  aborter.abort(new Error('the client has gone'));
  await expect(aborted).rejects.toThrow('the client has gone');
  await download.read(whole)?.close();
  await download.stored;
  const hash = createHash('sha256').update(content.subarray(0, 262_144));
  // It still reads what has no name any more.
  for (let next = await slow.next(); !next.done; next = await slow.next()) hash.update(next.value);
});

test('what a process that died has left is removed, what another one is at is not, and who stops leaves nothing', async () => {
  const open = async (_: number, signal: AbortSignal): Promise<UpstreamBlob> => ({
    size: content.length,
    start: 0,
    close: () => {},
    endpoint: 'https://upstream',
    body: (async function* () {
      yield content.subarray(0, 1000);
      await delay(60_000, undefined, { signal });
    })(),
  });
  const downloads = newDownloads();
  const others = [leave(2), leave(0.5, '3f0c1e1c-8a50-4b6e-9a3e-0d6a2f0f7d12'), leave(2, 'docker')];
  const download = await begin(open, downloads);
  // What is no folder of ours is none of our business.
  expect(others.map((other) => existsSync(other))).toEqual([false, true, true]);
  expect(spooled()).toHaveLength(3);
  await downloads.close();
  await download.stored.catch(() => undefined);
  expect(downloads.running).toBe(0);
});

/** A folder of another process, with a blob in it, at which nothing has happened for a while. */
function leave(hours: number, name = '3f0c1e1c-8a50-4b6e-9a3e-0d6a2f0f7d11'): string {
  const other = join(folder, 'spool', name);
  mkdirSync(other, { recursive: true });
  const file = join(other, 'blob');
  writeFileSync(file, 'x');
  const then = new Date(Date.now() - hours * 3_600_000);
  for (const path of [file, other]) utimesSync(path, then, then);
  return other;
}

test('what a process that died just now has left is removed later', async () => {
  const { open } = upstream((start) => from(start));
  const downloads = newDownloads();
  const other = leave(0.5);
  await (await begin(open, downloads)).stored;
  leave(1.5);
  await vi.waitFor(() => expect(downloads.running).toBe(0));
  await (await begin(open, downloads)).stored;
  expect(existsSync(other)).toBe(true);
  const clock = vi.spyOn(performance, 'now').mockReturnValue(performance.now() + 3_600_000);
  try {
    await vi.waitFor(() => expect(downloads.running).toBe(0));
    await (await begin(open, downloads)).stored;
  } finally {
    clock.mockRestore();
  }
  expect(existsSync(other)).toBe(false);
});

// Root may remove anything.
test.skipIf(process.getuid?.() === 0)('what cannot be removed is in nobody’s way', async () => {
  const { open } = upstream((start) => from(start));
  const other = leave(2);
  chmodSync(other, 0o000);
  try {
    await (await begin(open, newDownloads())).stored;
  } finally {
    chmodSync(other, 0o700);
  }
});

describe('the folder', () => {
  test('is made anew when somebody has removed it', async () => {
    const { open } = upstream((start) => from(start));
    const downloads = newDownloads();
    for (let count = 0; count < 2; count += 1) {
      const download = await begin(open, downloads);
      expect((await bytesOf(download.read(whole))).equals(content)).toBe(true);
      await download.stored;
      await vi.waitFor(() => expect(downloads.running).toBe(0));
      rmSync(join(folder, 'spool'), { recursive: true });
    }
  });

  test('that could not be made is tried again', async () => {
    const { open, closed } = upstream((start) => from(start));
    const downloads = newDownloads();
    writeFileSync(join(folder, 'spool'), 'in the way');
    await expect(begin(open, downloads)).rejects.toThrow(SpoolError);
    expect(closed()).toBe(1);
    rmSync(join(folder, 'spool'));
    await (await begin(open, downloads)).stored;
  });

  test('for temporary files is nobody else’s', async () => {
    const before = process.env.TMPDIR;
    process.env.TMPDIR = folder;
    try {
      const usual = join(folder, `berth-mirror-${process.getuid?.() ?? -1}`);
      mkdirSync(usual, { mode: 0o777 });
      chmodSync(usual, 0o777);
      const { open } = upstream((start) => from(start));
      const downloads = new Downloads({ max: 1, onEnd: () => {} });
      await (await begin(open, downloads)).stored;
      expect(readdirSync(usual)).toEqual([]);
      await downloads.close();
    } finally {
      if (before === undefined) delete process.env.TMPDIR;
      else process.env.TMPDIR = before;
    }
  });
});

test('readers have the last byte before the storage has it, and when it never will', async () => {
  const { open } = upstream((start) => from(start));
  let fail: (error: Error) => void = () => {};
  const storing = new Promise<void>((_, reject) => {
    fail = reject;
  });
  const download = await begin(open, newDownloads(), { store: () => storing });
  expect((await bytesOf(download.read(whole))).equals(content)).toBe(true);
  expect(download.hasEnded).toBe(false);
  const slow = opened(download.read(whole))[Symbol.asyncIterator]();
  await slow.next();
  fail(new Error('the disk is full'));
  await expect(download.stored).rejects.toThrow('the disk is full');
  expect(download.add(team)).toBe(false);
  let rest = 0;
  for (let next = await slow.next(); !next.done; next = await slow.next()) rest += next.value.length;
  expect(rest).toBeGreaterThan(content.length / 2);
  // Now nobody holds it open.
  await vi.waitFor(() => expect(download.read(whole)).toBeUndefined());
});

test('whoever joins while it is stored gets it, too', async () => {
  const { open } = upstream((start) => from(start));
  const other = parseRepositoryName('team/other');
  const storedFor: string[] = [];
  const download = await begin(open, newDownloads(), {
    async store(_, repository) {
      if (storedFor.length === 0) expect(download.add(other)).toBe(true);
      storedFor.push(repository);
    },
  });
  await download.stored;
  expect(storedFor).toEqual(['team/app', 'team/other']);
});

test('an upstream that is slow keeps nobody from the others', async () => {
  const downloads = newDownloads(1);
  const { open } = upstream((start) => from(start));
  const stalled: DownloadSource['open'] = (_, signal) =>
    new Promise((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason));
    });
  const slow = downloads
    .begin(sourceOf(stalled, { upstream: 'slow.example', digest: digestOf(Buffer.from('slow')) }))
    .begun();
  const refused = expect(slow).rejects.toThrow('the server stops');
  const other = await begin(open, downloads);
  await other.stored;
  await downloads.close();
  await refused;
});

test('once it is closed nothing comes any more, and nothing of it is left', async () => {
  const downloads = newDownloads();
  const { open, asked } = upstream((start) => from(start));
  await (await begin(open, downloads)).stored;
  await downloads.close();
  const count = asked.length;
  expect(() => downloads.begin(sourceOf(open))).toThrow('the server stops');
  expect([asked.length, readdirSync(join(folder, 'spool'))]).toEqual([count, []]);
});
