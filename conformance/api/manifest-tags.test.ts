import { beforeEach, describe, expect, test } from 'vitest';
import { type Content, index, mediaTypes, unknownDigest } from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus } from './expectations.ts';
import { pushManifest, putManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
let repository = '';
let content: Content = index([]);

beforeEach(() => {
  repository = registry.repository();
  content = index([], { annotations: { of: repository } });
});

function put(query: string, what = content, reference = what.digest): Promise<Reply> {
  return putManifest(registry, repository, reference, what, { query });
}

/** The tags that `OCI-Tag` names, in whatever number of lines they come. */
const accepted = (reply: Reply) => (reply.header('oci-tag') ?? '').split(/, */).toSorted();

async function expectTags(...tags: string[]): Promise<void> {
  const reply = await registry.request('GET', `/v2/${repository}/tags/list`);
  if (tags.length === 0) return expectStatus(reply, 200, 404);
  expect(reply.json()).toEqual({ name: repository, tags: tags.toSorted() });
}

const sets: readonly [name: string, tags: readonly string[]][] = [
  ['one', ['a']],
  ['two', ['b', 'a']],
  ['ten', Array.from({ length: 10 }, (_, i) => `v1.${i}`)],
  ['the longest', ['t'.repeat(128)]],
];

describe('a manifest that is pushed by digest may get tags [OCI main end-7b]', () => {
  for (const [name, tags] of sets) {
    test(name, async () => {
      const reply = await put(`?${tags.map((tag) => `tag=${tag}`).join('&')}`);
      expectStatus(reply, 201);
      expect(accepted(reply)).toEqual(tags.toSorted());
      expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
      await expectTags(...tags);
      for (const tag of tags) {
        const got = await registry.request('HEAD', `/v2/${repository}/manifests/${tag}`);
        expectHeaders(got, { 'Docker-Content-Digest': content.digest });
      }
    });
  }

  test('the same one twice is named once [zot]', async () => {
    const reply = await put('?tag=a&tag=b&tag=a');
    expectStatus(reply, 201);
    expect(accepted(reply)).toEqual(['a', 'b']);
  });

  test('none: no OCI-Tag', async () => {
    expectHeaders(await put('?other=1'), { 'OCI-Tag': undefined });
    await expectTags();
  });

  test('a tag that exists moves', async () => {
    await pushManifest(registry, repository, index([], { annotations: { old: '1' } }), 'a');
    expectStatus(await put('?tag=a'), 201);
    const got = await registry.request('HEAD', `/v2/${repository}/manifests/a`);
    expectHeaders(got, { 'Docker-Content-Digest': content.digest });
  });

  test('a manifest that exists may be sent again to be tagged', async () => {
    expectStatus(await put(''), 201);
    expectStatus(await put('?tag=later'), 201);
    await expectTags('later');
  });

  test('a tag of a sha512 manifest leads to its sha512', async () => {
    const large = index([], { annotations: { of: repository } }, 'sha512');
    const reply = await put('?tag=a', large);
    expectStatus(reply, 201);
    const got = await registry.request('GET', `/v2/${repository}/manifests/a`);
    expectHeaders(got, { 'Docker-Content-Digest': large.digest });
  });

  test('together with a subject', async () => {
    const subject = { mediaType: mediaTypes.image, digest: unknownDigest(), size: 10 };
    const reply = await put('?tag=a', index([], { subject }));
    expectHeaders(reply, { 'OCI-Tag': 'a', 'OCI-Subject': subject.digest });
  });
});

const refused: readonly [name: string, query: string][] = [
  ['empty', '?tag='],
  ['of 129 characters', `?tag=${'t'.repeat(129)}`],
  ['with a slash', '?tag=bad/ref'],
  ['with an encoded slash', '?tag=bad%2Fref'],
  ['with a colon', '?tag=a:b'],
  ['that begins with a dot', '?tag=.a'],
  ['that is a digest', `?tag=${unknownDigest()}`],
  ['after a good one', '?tag=good&tag=.bad'],
];

describe('what is no tag is 400 [OCI main end-7b; zot]', () => {
  for (const [name, query] of refused) {
    test(name, async () => expectError(await put(query), 400, 'TAG_INVALID', 'MANIFEST_INVALID'));
  }

  test('with a tag as the reference', async () => {
    const reply = await put('?tag=b', content, 'a');
    expectError(reply, 400, 'TAG_INVALID', 'MANIFEST_INVALID', 'UNSUPPORTED', 'DIGEST_INVALID');
    await expectTags();
  });

  test('more than a server wants is 414', async () => {
    const reply = await put(`?${Array.from({ length: 500 }, (_, i) => `tag=t${i}`).join('&')}`);
    expectStatus(reply, 414);
    await expectTags();
  });
});

checkEveryResponse();
