import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { createInMemoryDriver } from '../../storage-drivers/inmemory/driver.ts';
import { withFaults } from '../../storage-drivers/wrappers/faults.ts';
import { parseRepositoryName, parseTag } from '../oci/name.ts';
import { latest, mirrorOver } from './testing/mirror-over.ts';
import { imageOf, startUpstreamRegistry, type UpstreamRegistry } from './testing/upstream-registry.ts';

const [one, two] = [imageOf('one'), imageOf('two')];
const name = 'docker.io/team/app';
const mark = `${name}:latest`;

let upstream: UpstreamRegistry;
beforeAll(async () => {
  upstream = await startUpstreamRegistry();
});
beforeEach(() => {
  upstream.instead = () => false;
  upstream.push('team/app', one, 'latest');
  upstream.requests.length = 0;
});
afterAll(() => upstream.close());

const down: UpstreamRegistry['instead'] = (_, response) => {
  response.writeHead(503).end();
  return true;
};

/** One that has asked once. */
async function warm(settings: Parameters<typeof mirrorOver>[2] = {}, driver = createInMemoryDriver()) {
  const mirror = await mirrorOver(driver, [upstream.url], settings);
  const { manifests } = mirror.repository(name);
  expect((await manifests.get(latest)).descriptor.digest).toBe(one.digest);
  upstream.requests.length = 0;
  return { mirror, manifests };
}

describe('a tag', () => {
  test('is asked for once by all who ask at once, and not again within its time', async () => {
    const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
    const { manifests } = repository(name);
    await Promise.all(Array.from({ length: 20 }, () => manifests.get(latest)));
    await manifests.get(latest);
    await manifests.get(one.digest);
    expect(upstream.requests).toEqual(['HEAD team/app/manifests/latest', 'GET team/app/manifests/latest']);
  });

  test('is asked for by HEAD after its time, and followed where it has moved to', async () => {
    const { mirror, manifests } = await warm();
    mirror.now += 61_000;
    await manifests.get(latest);
    expect(upstream.requests).toEqual(['HEAD team/app/manifests/latest']);
    upstream.push('team/app', two, 'latest');
    expect((await manifests.get(latest)).descriptor.digest).toBe(one.digest);
    mirror.now += 61_000;
    expect((await manifests.get(latest)).descriptor.digest).toBe(two.digest);
    expect(mirror.events.map(({ outcome }) => outcome)).toEqual(['miss', 'hit', 'hit', 'miss']);
  });

  test.each([
    ['a little, it counts', 30_000, []],
    ['far, it does not', 3_600_000, ['HEAD team/app/manifests/latest']],
  ])('whose mark is from the future: if %s', async (_, ahead, asked) => {
    const { mirror, manifests } = await warm();
    mirror.marks.set(mark, { checked: mirror.now + ahead });
    await manifests.get(latest);
    expect(upstream.requests).toEqual(asked);
  });
});

describe('an upstream that cannot be asked', () => {
  test('leaves the tag stale for its time, and not for longer', async () => {
    const { mirror, manifests } = await warm();
    upstream.instead = down;
    mirror.now += 3_600_000;
    expect(await manifests.get(latest)).toMatchObject({
      descriptor: { digest: one.digest },
      warning: expect.stringContaining('could not be asked'),
    });
    expect(mirror.events.at(-1)).toMatchObject({ outcome: 'stale', kind: 'manifest', reference: 'latest' });
    mirror.now += 61_000;
    await expect(manifests.get(latest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('leaves a tag without a mark stale, but not for ever', async () => {
    const { mirror, manifests } = await warm();
    mirror.marks.delete(mark);
    upstream.instead = down;
    expect((await manifests.get(latest)).warning).toBeDefined();
    mirror.now += 3_601_000;
    await expect(manifests.get(latest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
  });

  test('does not bring back what it said was gone', async () => {
    const driver = createInMemoryDriver();
    const { mirror, manifests } = await warm({}, driver);
    upstream.removeTag('team/app', 'latest');
    mirror.now += 61_000;
    await expect(manifests.get(latest)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    upstream.instead = down;
    const next = await mirrorOver(driver, [upstream.url], { mirror: { marks: mirror.shared } });
    await expect(next.repository(name).manifests.get(latest)).rejects.toMatchObject({ code: 'UNAVAILABLE' });
    await expect(mirror.store.repository(parseRepositoryName(name)).manifests.get(latest)).rejects.toMatchObject({
      code: 'MANIFEST_UNKNOWN',
    });
    // What was there under its digest stays.
    expect((await manifests.get(one.digest)).descriptor.digest).toBe(one.digest);
  });

  test('has no say in a tag that did not come from it', async () => {
    const { mirror, manifests } = await warm();
    const pushed = parseTag('pushed');
    await mirror.store
      .repository(parseRepositoryName(name))
      .manifests.put(pushed, (await manifests.get(one.digest)).content, { mediaType: undefined });
    await expect(manifests.get(pushed)).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    const kept = await mirror.store.repository(parseRepositoryName(name)).manifests.get(pushed);
    expect(kept.descriptor.digest).toBe(one.digest);
  });

  test('and is only slow is not waited for, but heard when it answers', async () => {
    const { mirror, manifests } = await warm({ upstream: { patience: 100 } });
    upstream.push('team/app', two, 'latest');
    let answer = () => {};
    const held = new Promise<void>((resolve) => {
      answer = resolve;
    });
    upstream.instead = (request, response, url) => {
      void held.then(() => {
        upstream.instead = () => false;
        response.writeHead(307, { location: `${upstream.url}${url.pathname}` }).end();
      });
      return request.method === 'HEAD';
    };
    mirror.now += 61_000;
    const stale = await manifests.get(latest);
    expect(stale.descriptor.digest).toBe(one.digest);
    expect(stale.warning).toBeDefined();
    answer();
    await vi.waitFor(() => expect(mirror.marks.get(mark)?.checked).toBe(mirror.now));
    expect(await manifests.get(latest)).toMatchObject({ descriptor: { digest: two.digest } });
  });
});

test('what nobody waits for any more is given up, and asked for anew by who comes next', async () => {
  let broken = 0;
  upstream.instead = (request) => {
    request.once('close', () => {
      broken += 1;
    });
    return true;
  };
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  const { manifests } = repository(name);
  const aborters = [new AbortController(), new AbortController()];
  const found = aborters.map(({ signal }) => manifests.get(latest, signal));
  await vi.waitFor(() => expect(upstream.requests).toHaveLength(1));
  aborters[0]?.abort(new Error('the client has gone'));
  await expect(found[0]).rejects.toThrow('the client has gone');
  expect(broken).toBe(0);
  aborters[1]?.abort(new Error('this one, too'));
  await expect(found[1]).rejects.toThrow('this one, too');
  await vi.waitFor(() => expect(broken).toBe(1));
  upstream.instead = () => false;
  expect((await manifests.get(latest)).descriptor.digest).toBe(one.digest);
});

test('of more questions than an upstream is asked at once the last ones wait, and go when who asked them leaves', async () => {
  const held: (() => void)[] = [];
  upstream.instead = (_, response) => {
    held.push(() => response.writeHead(404).end());
    return true;
  };
  const settings = { mirror: { maxQuestions: 2 } };
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url], settings);
  const { manifests } = repository(name);
  const aborter = new AbortController();
  const found = ['a', 'b', 'c', 'd'].map((tag) => {
    const asked = manifests.get(parseTag(tag), tag === 'c' ? aborter.signal : undefined);
    asked.catch(() => undefined);
    return asked;
  });
  await vi.waitFor(() => expect(held).toHaveLength(2));
  aborter.abort(new Error('the client has gone'));
  await expect(found[2]).rejects.toThrow('the client has gone');
  upstream.instead = (_, response) => {
    response.writeHead(404).end();
    return true;
  };
  for (const answer of held) answer();
  for (const asked of [found[0], found[1], found[3]]) {
    await expect(asked).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
  }
  expect(upstream.requests.toSorted()).toEqual(['a', 'b', 'd'].map((tag) => `HEAD team/app/manifests/${tag}`));
});

test('a storage that takes nothing does not keep the manifest from the client, and says what is wrong', async () => {
  const faulty = withFaults(createInMemoryDriver());
  for (const operation of ['put', 'writer'] as const) faulty.fail({ operation });
  const { repository, faults, marks } = await mirrorOver(faulty.driver, [upstream.url]);
  expect((await repository(name).manifests.get(latest)).content.equals(one.manifest)).toBe(true);
  expect(faults).toMatchObject([{ upstream: 'docker.io', repository: name, reference: 'latest' }]);
  expect(marks.size).toBe(0);
});

test('a tag whose mark cannot be written is served stale all the same', async () => {
  const { mirror, manifests } = await warm({
    mirror: {
      marks: {
        get: async () => undefined,
        put: async () => {
          throw new Error('no space left on device');
        },
        isClaimed: async () => true,
        claim: async () => {},
        withdraw: async () => {},
        isBrought: async () => true,
        bring: async () => {},
      },
    },
  });
  upstream.instead = down;
  expect((await manifests.get(latest)).warning).toBeDefined();
  expect(mirror.faults.map(({ error }) => String(error))).toContain('Error: no space left on device');
});

test('what is not there is not asked for again at once', async () => {
  const { repository } = await mirrorOver(createInMemoryDriver(), [upstream.url]);
  for (let count = 0; count < 3; count += 1) {
    const found = repository(name).manifests.get(parseTag('nothing'));
    await expect(found).rejects.toMatchObject({ code: 'MANIFEST_UNKNOWN' });
    await delay(1);
  }
  expect(upstream.requests).toHaveLength(1);
});
