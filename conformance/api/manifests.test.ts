import { describe, expect, test } from 'vitest';
import {
  blob,
  type Content,
  descriptor,
  digestOf,
  image,
  index,
  manifest,
  mediaTypes,
  unknownDigest,
} from '../harness/content.ts';
import { expectError, expectHeaders, expectStatus, locationOf } from './expectations.ts';
import { pushBlob, pushImage, pushManifest, putManifest } from './push.ts';
import { checkEveryResponse, openRegistry } from './registry.ts';

const registry = await openRegistry();
const repository = registry.repository();
const config = await pushBlob(registry, repository, blob(undefined, mediaTypes.config));
const layer = await pushBlob(registry, repository);
const parts = [descriptor(config), [descriptor(layer)]] as const;

/** A manifest that is like no other one. */
const fresh = (fields: object = {}) => image(...parts, { annotations: { of: unknownDigest() }, ...fields });

async function expectManifest(reference: string, content: Content): Promise<void> {
  for (const method of ['GET', 'HEAD']) {
    const reply = await registry.request(method, `/v2/${repository}/manifests/${reference}`);
    expectStatus(reply, 200);
    expectHeaders(reply, {
      'Content-Type': content.mediaType,
      'Content-Length': String(content.bytes.length),
      'Docker-Content-Digest': content.digest,
      ETag: `"${content.digest}"`,
    });
    if (method === 'GET') expect(reply.body.equals(content.bytes)).toBe(true);
  }
}

const kinds: readonly [name: string, content: Content][] = [
  ['OCI image', image(...parts)],
  ['OCI image without mediaType', image(...parts, { mediaType: undefined })],
  ['OCI index', index([])],
  ['OCI index without mediaType', index([], { mediaType: undefined })],
  [
    'docker image',
    manifest(
      {
        schemaVersion: 2,
        mediaType: mediaTypes.dockerImage,
        config: descriptor(config, { mediaType: mediaTypes.dockerConfig }),
        layers: [descriptor(layer, { mediaType: mediaTypes.dockerLayer })],
      },
      mediaTypes.dockerImage,
    ),
  ],
  [
    'docker list',
    manifest({ schemaVersion: 2, mediaType: mediaTypes.dockerList, manifests: [] }, mediaTypes.dockerList),
  ],
];

describe('a manifest comes back as it was pushed [OCI end-3, end-7]', () => {
  for (const [name, content] of kinds) {
    for (const reference of [`by-tag-${name.toLowerCase().replaceAll(/[^a-z]/g, '-')}`, content.digest]) {
      test(`${name} by ${reference === content.digest ? 'digest' : 'tag'}`, async () => {
        const reply = await putManifest(registry, repository, reference, content);
        expectStatus(reply, 201);
        expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
        expect(locationOf(reply)).toBe(`/v2/${repository}/manifests/${content.digest}`);
        await expectManifest(reference, content);
        await expectManifest(content.digest, content);
      });
    }
  }

  const spellings: readonly [name: string, change: (text: string) => string][] = [
    ['no white space', (text) => JSON.stringify(JSON.parse(text))],
    ['white space around', (text) => `\n  ${text}\r\n\t`],
    ['escapes', (text) => text.replace('"schemaVersion"', '"schema\\u0056ersion"')],
    ['characters beyond ASCII', (text) => text.replace('"layers"', '"ключ": "値 ✓", "layers"')],
  ];
  for (const [name, change] of spellings) {
    test(`spelt with ${name}`, async () => {
      const bytes = Buffer.from(change(fresh().bytes.toString()));
      const content = { bytes, digest: digestOf(bytes), mediaType: mediaTypes.image };
      await pushManifest(registry, repository, content, 'spelling');
      await expectManifest('spelling', content);
    });
  }

  for (const what of [image, index] as const) {
    test(`${what.name} with sha512 [OCI "Digest"; conformance suite of OCI main]`, async () => {
      const content = what === image ? image(...parts, {}, 'sha512') : index([], {}, 'sha512');
      const reply = await putManifest(registry, repository, content.digest, content);
      expectStatus(reply, 201);
      expectHeaders(reply, { 'Docker-Content-Digest': content.digest });
      expect(locationOf(reply)).toBe(`/v2/${repository}/manifests/${content.digest}`);
      await expectManifest(content.digest, content);
    });
  }
});

describe('how a manifest may be sent', () => {
  for (const parameters of ['; charset=utf-8', ';charset=UTF-8', '; x="y"']) {
    test(`with a parameter of the media type: ${parameters} [RFC 9110 §8.3.1]`, async () => {
      const content = fresh();
      const headers = { 'Content-Type': `${mediaTypes.image}${parameters}` };
      expectStatus(await putManifest(registry, repository, 'with-parameter', content, { headers }), 201);
      await expectManifest('with-parameter', content);
    });
  }

  test('without Content-Type, when it says itself what it is (skopeo) [client]', async () => {
    const content = fresh();
    const target = `/v2/${repository}/manifests/no-type`;
    expectStatus(await registry.request('PUT', target, { body: content.bytes }), 201);
    await expectManifest('no-type', content);
  });

  test('in chunked transfer coding [conformance suite of OCI main]', async () => {
    const content = fresh();
    const body = [content.bytes.subarray(0, 20), content.bytes.subarray(20)];
    expectStatus(await putManifest(registry, repository, 'chunked', content, { body }), 201);
    await expectManifest('chunked', content);
  });

  test('again and again [OCI end-7]', async () => {
    const content = fresh();
    for (let i = 0; i < 3; i++) await pushManifest(registry, repository, content, 'again');
    await expectManifest('again', content);
  });

  test('by many at once [client]', async () => {
    const contents = Array.from({ length: 8 }, () => fresh());
    await Promise.all(contents.map((content) => pushManifest(registry, repository, content, 'raced')));
    const reply = await registry.request('GET', `/v2/${repository}/manifests/raced`);
    expect(contents.map(({ digest }) => digest)).toContain(reply.header('docker-content-digest'));
    for (const content of contents) await expectManifest(content.digest, content);
  });
});

describe('tags', () => {
  test('a tag moves, and the old manifest stays [OCI "Pushing Manifests"]', async () => {
    const [first, second] = [fresh(), fresh()];
    await pushManifest(registry, repository, first, 'moving');
    await pushManifest(registry, repository, second, 'moving');
    await expectManifest('moving', second);
    await expectManifest(first.digest, first);
  });

  test('a tag is case-sensitive [OCI "Pulling manifests"]', async () => {
    const [upper, lower] = [fresh(), fresh()];
    await pushManifest(registry, repository, upper, 'CaSe');
    await pushManifest(registry, repository, lower, 'case');
    await expectManifest('CaSe', upper);
    await expectManifest('case', lower);
  });

  const valid = [
    'a',
    'A',
    '0',
    '_',
    '_a',
    'v1.0.0',
    '1-2',
    'a..b',
    'a--',
    'a.',
    `sha256-${'a'.repeat(64)}.sig`,
    't'.repeat(128),
  ];
  for (const tag of valid) {
    test(`${tag.slice(0, 20)} is one [OCI "Pulling manifests"]`, async () => {
      const content = fresh();
      await pushManifest(registry, repository, content, tag);
      await expectManifest(tag, content);
    });
  }

  const invalid = ['.a', '-a', 'a+b', 'a@b', 'a%20b', 'a%2fb', 'a~', '%c3%a4', 't'.repeat(129)];
  for (const tag of invalid) {
    test(`${tag.slice(0, 20)} is none: PUT refuses it [OCI "Error Codes"]`, async () => {
      const reply = await putManifest(registry, repository, tag, fresh());
      expectStatus(reply, 400, 404);
      if (reply.status === 400)
        expectError(reply, 400, 'TAG_INVALID', 'MANIFEST_INVALID', 'NAME_INVALID', 'DIGEST_INVALID');
    });
  }
});

describe('a manifest that is not there is 404 [OCI end-3]', () => {
  const references = [
    'missing',
    '.INVALID_MANIFEST_NAME',
    't'.repeat(129),
    '-x',
    unknownDigest(),
    unknownDigest('sha512'),
  ];
  for (const reference of references) {
    for (const place of ['a repository', 'no repository']) {
      test(`${reference.slice(0, 24)} in ${place}`, async () => {
        const name = place === 'a repository' ? repository : registry.repository();
        const target = `/v2/${name}/manifests/${reference}`;
        expectError(await registry.request('GET', target), 404, 'MANIFEST_UNKNOWN', 'NAME_UNKNOWN');
        expectError(await registry.request('HEAD', target), 404);
      });
    }
  }

  test('in this repository, though another one has it', async () => {
    const { manifest: elsewhere } = await pushImage(registry, registry.repository(), 'elsewhere');
    expectStatus(await registry.request('GET', `/v2/${repository}/manifests/${elsewhere.digest}`), 404);
    expectStatus(await registry.request('GET', `/v2/${repository}/manifests/elsewhere`), 404);
  });

  test('through …/blobs/, or it is the manifest [containerd asks for both]', async () => {
    const content = await pushManifest(registry, repository, fresh());
    const reply = await registry.request('GET', `/v2/${repository}/blobs/${content.digest}`);
    expectStatus(reply, 200, 404);
    if (reply.status === 200) expect(reply.body).toEqual(content.bytes);
  });

  test('a blob through …/manifests/', async () => {
    expectStatus(await registry.request('GET', `/v2/${repository}/manifests/${layer.digest}`), 404);
  });
});

describe('a digest that is none, or another one’s, is refused', () => {
  const malformed = [
    'sha256:totallywrong',
    'sha256:baddigeststring',
    'sha256:',
    `sha256:${'A'.repeat(64)}`,
    `sha257:${'a'.repeat(64)}`,
  ];
  for (const digest of malformed) {
    test(`GET, HEAD ${digest.slice(0, 24)} [conformance suites]`, async () => {
      for (const method of ['GET', 'HEAD']) {
        const reply = await registry.request(method, `/v2/${repository}/manifests/${digest}`);
        expectError(reply, [400, 404], 'DIGEST_INVALID', 'MANIFEST_UNKNOWN');
      }
    });

    test(`PUT ${digest.slice(0, 24)} [OCI end-7; conformance suite of OCI main]`, async () => {
      expectError(await putManifest(registry, repository, digest, fresh()), 400, 'DIGEST_INVALID');
    });

    test(`DELETE ${digest.slice(0, 24)} [OCI end-9]`, async () => {
      const reply = await registry.request('DELETE', `/v2/${repository}/manifests/${digest}`);
      expectError(reply, [400, 404], 'DIGEST_INVALID', 'MANIFEST_UNKNOWN');
    });
  }

  for (const algorithm of ['sha256', 'sha512'] as const) {
    test(`PUT under the ${algorithm} of something else [OCI end-7]`, async () => {
      const digest = unknownDigest(algorithm);
      expectError(await putManifest(registry, repository, digest, fresh()), 400, 'DIGEST_INVALID');
      expectStatus(await registry.request('HEAD', `/v2/${repository}/manifests/${digest}`), 404);
    });
  }
});

checkEveryResponse();
