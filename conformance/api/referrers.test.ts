import { beforeAll, describe, expect, test } from 'vitest';
import {
  blob,
  type Content,
  type DescriptorJson,
  descriptor,
  emptyJson,
  image,
  index,
  mediaTypes,
  unknownDigest,
} from '../harness/content.ts';
import type { Reply } from '../harness/http-client.ts';
import { expectError, expectHeaders, expectStatus, nextPage } from './expectations.ts';
import { pushBlob, pushImage, pushManifest, putManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();

const referrers = (repository: string, digest: string, query = ''): Promise<Reply> =>
  registry.request('GET', `/v2/${repository}/referrers/${digest}${query}`);

/** The descriptors of a page of referrers, which is an image index of exactly this type. */
function descriptorsOf(reply: Reply): DescriptorJson[] {
  expectStatus(reply, 200);
  expectHeaders(reply, { 'Content-Type': mediaTypes.index });
  const body = reply.json() as { schemaVersion: number; mediaType: string; manifests: DescriptorJson[] };
  expect(body).toMatchObject({ schemaVersion: 2, mediaType: mediaTypes.index, manifests: expect.any(Array) });
  return body.manifests;
}

const digestsOf = (reply: Reply) =>
  descriptorsOf(reply)
    .map(({ digest }) => digest)
    .toSorted();
const digests = (contents: readonly Content[]) => contents.map(({ digest }) => digest).toSorted();

const rocket = 'application/vnd.acme.rocket';
const sbom = 'application/vnd.acme.sbom+json';

/** An artifact that refers to `subject`, with its parts pushed. */
async function pushArtifact(repository: string, subject: Content, fields: object = {}, tag?: string): Promise<Content> {
  const empty = descriptor(await pushBlob(registry, repository, emptyJson));
  return pushManifest(registry, repository, image(empty, [empty], { subject: descriptor(subject), ...fields }), tag);
}

describe('who refers to nothing gets an empty index, never 404 [OCI end-12]', () => {
  const subjects: readonly [name: string, digest: string][] = [
    ['a subject that is not there', unknownDigest()],
    ['a sha512 that is not there', unknownDigest('sha512')],
    ['the digest that oras asks for', `sha256:${'0'.repeat(64)}`],
  ];
  for (const [name, digest] of subjects) {
    test(`${name}, in a repository that is not there`, async () => {
      const reply = await referrers(registry.repository(), digest);
      expect(descriptorsOf(reply)).toEqual([]);
      expectHeaders(reply, { 'OCI-Filters-Applied': undefined, Link: undefined });
    });
  }

  test('an image that nobody refers to', async () => {
    const repository = registry.repository();
    const { manifest } = await pushImage(registry, repository);
    expect(descriptorsOf(await referrers(repository, manifest.digest))).toEqual([]);
  });

  test('HEAD has the headers of GET [RFC 9110 §9.3.2]', async () => {
    const target = `/v2/${registry.repository()}/referrers/${unknownDigest()}`;
    const head = await registry.request('HEAD', target);
    expectStatus(head, 200);
    expectHeaders(head, {
      'Content-Type': mediaTypes.index,
      'Content-Length': (await registry.request('GET', target)).header('content-length'),
    });
  });

  for (const digest of ['nonsense', 'sha256:abc', 'latest', `sha256:${'A'.repeat(64)}`, `sha257:${'a'.repeat(64)}`]) {
    test(`but ${digest.slice(0, 20)} is 400 [OCI "Listing Referrers"]`, async () => {
      expectError(await referrers(registry.repository(), digest), 400, 'DIGEST_INVALID');
    });
  }
});

describe('the referrers of an image [OCI "Listing Referrers"]', () => {
  const repository = registry.repository();
  let subject: Content;
  let all: Record<'rocket' | 'sbom' | 'plain' | 'typedIndex' | 'bareIndex', Content>;

  beforeAll(async () => {
    ({ manifest: subject } = await pushImage(registry, repository, 'subject'));
    const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
    const refer = { subject: descriptor(subject) };
    all = {
      rocket: await pushArtifact(repository, subject, { artifactType: rocket, annotations: { a: '1', 'b.c': 'ä' } }),
      sbom: await pushArtifact(repository, subject, { artifactType: sbom }, 'with-a-tag'),
      plain: await pushManifest(registry, repository, image(descriptor(config), [], refer)),
      typedIndex: await pushManifest(registry, repository, index([], { ...refer, artifactType: rocket })),
      bareIndex: await pushManifest(registry, repository, index([], { ...refer, annotations: { x: 'y' } })),
    };
  });

  test('are all there, each once', async () => {
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual(digests(Object.values(all)));
  });

  test('stay there once when they are pushed again and get tags', async () => {
    await pushManifest(registry, repository, all.rocket, 'rocket');
    await pushManifest(registry, repository, all.rocket, 'rocket2');
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual(digests(Object.values(all)));
  });

  test('are described: type, size, artifact type, annotations', async () => {
    const found = new Map(descriptorsOf(await referrers(repository, subject.digest)).map((d) => [d.digest, d]));
    const described = (content: Content) => found.get(content.digest);
    expect(described(all.rocket)).toEqual({
      ...descriptor(all.rocket),
      artifactType: rocket,
      annotations: { a: '1', 'b.c': 'ä' },
    });
    expect(described(all.sbom)).toEqual({ ...descriptor(all.sbom), artifactType: sbom });
    expect(described(all.plain)).toEqual({ ...descriptor(all.plain), artifactType: mediaTypes.config });
    expect(described(all.typedIndex)).toEqual({ ...descriptor(all.typedIndex), artifactType: rocket });
    expect(described(all.bareIndex)).toEqual({ ...descriptor(all.bareIndex), annotations: { x: 'y' } });
  });

  type Key = keyof typeof all;
  const filters: readonly [name: string, query: string, expected: readonly Key[]][] = [
    ['one type', `?artifactType=${rocket}`, ['rocket', 'typedIndex']],
    ['the type of the config', `?artifactType=${mediaTypes.config}`, ['plain']],
    ['a type with +, encoded', `?artifactType=${encodeURIComponent(sbom)}`, ['sbom']],
    ['a type with +, as it is', `?artifactType=${sbom}`, ['sbom']],
    ['a type with a space, which can only be a +', `?artifactType=${sbom.replace('+', '%20')}`, ['sbom']],
    ['two types', `?artifactType=${rocket}&artifactType=${encodeURIComponent(sbom)}`, ['rocket', 'typedIndex', 'sbom']],
    ['a type that nothing has', '?artifactType=application/none', []],
    ['two types in one, with a comma', `?artifactType=${rocket},${sbom}`, []],
    ['half a type', '?artifactType=application/vnd.acme', []],
  ];
  for (const [name, query, expected] of filters) {
    test(`filtered by ${name} [OCI "Listing Referrers"; zot]`, async () => {
      const reply = await referrers(repository, subject.digest, query);
      expect(digestsOf(reply)).toEqual(digests(expected.map((key) => all[key])));
      expectHeaders(reply, { 'OCI-Filters-Applied': 'artifactType' });
    });
  }

  for (const query of ['', '?artifact=x', '?ns=docker.io', '?digest=x']) {
    test(`not filtered by ${query || 'nothing'} [zot]`, async () => {
      const reply = await referrers(repository, subject.digest, query);
      expect(digestsOf(reply)).toHaveLength(5);
      expectHeaders(reply, { 'OCI-Filters-Applied': undefined });
    });
  }

  for (const query of ['?n=1', '?n=2', '?n=100']) {
    test(`in pages, if at all: ${query} [OCI "Listing Referrers"]`, async () => {
      const seen: string[] = [];
      let next: string | undefined = `/v2/${repository}/referrers/${subject.digest}${query}`;
      while (next !== undefined) {
        const reply: Reply = await registry.request('GET', next);
        seen.push(...descriptorsOf(reply).map(({ digest }) => digest));
        next = nextPage(reply);
      }
      expect(seen.toSorted()).toEqual(digests(Object.values(all)));
    });
  }

  test('are those of this repository only', async () => {
    const other = registry.repository();
    await pushArtifact(other, subject, { artifactType: 'application/other' });
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual(digests(Object.values(all)));
    expect(digestsOf(await referrers(other, subject.digest))).toHaveLength(1);
  });
});

describe('OCI-Subject says that the subject was seen [OCI "Pushing Manifests with Subject"]', () => {
  const make = {
    image: (fields: object, empty: DescriptorJson) => image(empty, [], fields),
    index: (fields: object) => index([], fields),
  };
  for (const [kind, create] of Object.entries(make)) {
    for (const by of ['tag', 'digest']) {
      test(`${kind} by ${by}, before and after the subject, and again`, async () => {
        const repository = registry.repository();
        const empty = descriptor(await pushBlob(registry, repository, emptyJson));
        const subject = image(empty, [], { annotations: { of: repository } });
        const content = create({ subject: descriptor(subject) }, empty);
        const reference = by === 'tag' ? 'tagged' : content.digest;
        const expected = { 'OCI-Subject': subject.digest };
        expectHeaders(await putManifest(registry, repository, reference, content), expected);
        expect(digestsOf(await referrers(repository, subject.digest))).toEqual([content.digest]);
        await pushManifest(registry, repository, subject);
        expectHeaders(await putManifest(registry, repository, reference, content), expected);
        expect(digestsOf(await referrers(repository, subject.digest))).toEqual([content.digest]);
      });
    }
  }

  test('and is absent without one', async () => {
    const reply = await putManifest(registry, registry.repository(), 'x', index([]));
    expectHeaders(reply, { 'OCI-Subject': undefined });
  });

  test('a subject under sha512', async () => {
    const repository = registry.repository();
    const subject = index([], {}, 'sha512');
    const content = index([], { subject: descriptor(subject) });
    expectHeaders(await putManifest(registry, repository, 'x', content), { 'OCI-Subject': subject.digest });
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([content.digest]);
  });

  test('a referrer under sha512', async () => {
    const repository = registry.repository();
    const subject = index([]);
    const content = index([], { subject: descriptor(subject) }, 'sha512');
    await pushManifest(registry, repository, content);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([content.digest]);
  });
});

describe('changes are seen at once', () => {
  test('a referrer of a referrer', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    const signature = await pushArtifact(repository, subject);
    const counter = await pushArtifact(repository, signature);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([signature.digest]);
    expect(digestsOf(await referrers(repository, signature.digest))).toEqual([counter.digest]);
  });

  test('a referrer that is deleted [OCI end-9]', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    const [one, two] = [
      await pushArtifact(repository, subject, { artifactType: 'a/1' }),
      await pushArtifact(repository, subject, { artifactType: 'a/2' }),
    ];
    expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/${one.digest}`), 202);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([two.digest]);
    await pushManifest(registry, repository, one);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual(digests([one, two]));
  });

  test('a subject that is deleted keeps its referrers', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    const artifact = await pushArtifact(repository, subject);
    expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/${subject.digest}`), 202);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([artifact.digest]);
  });

  test('a tag of a referrer that is deleted changes nothing', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    const artifact = await pushArtifact(repository, subject, {}, 'tagged');
    expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/tagged`), 202);
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([artifact.digest]);
  });

  test('many that are pushed at once', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    await pushBlob(registry, repository, emptyJson);
    const empty = descriptor(emptyJson);
    const contents = Array.from({ length: 20 }, (_, i) =>
      image(empty, [], { subject: descriptor(subject), artifactType: `a/${i}` }),
    );
    await Promise.all(contents.map((content) => pushManifest(registry, repository, content)));
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual(digests(contents));
  });
});

describe('the tag that clients kept before there was this API [OCI "Referrers Tag Schema"]', () => {
  test('what is in it and has a subject is listed, once', async () => {
    const repository = registry.repository();
    const { manifest: subject } = await pushImage(registry, repository);
    const artifact = await pushArtifact(repository, subject, { artifactType: rocket });
    const fallback = index([descriptor(artifact, { artifactType: rocket })]);
    await pushManifest(registry, repository, fallback, subject.digest.replace(':', '-'));
    expect(digestsOf(await referrers(repository, subject.digest))).toEqual([artifact.digest]);
  });

  test('it is a tag like any other: listed, pulled, deleted', async () => {
    const repository = registry.repository();
    const tag = unknownDigest().replace(':', '-');
    await pushManifest(registry, repository, index([]), tag);
    const tags = await registry.request('GET', `/v2/${repository}/tags/list`);
    expect(tags.json()).toEqual({ name: repository, tags: [tag] });
    expectStatus(await registry.request('DELETE', `/v2/${repository}/manifests/${tag}`), 202);
  });
});

checkEveryResponse();
