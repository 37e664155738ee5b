import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { mediaTypes } from '../../oci/media-type.ts';
import { parseRepositoryName } from '../../oci/name.ts';
import type { UpstreamClient } from './client.ts';
import {
  clientOf,
  digestOfText,
  type LyingUpstream,
  manifestDigest,
  repository,
  startLyingUpstream,
} from './testing/lying-upstream.ts';

let upstream: LyingUpstream;
let client: UpstreamClient;

beforeAll(async () => {
  upstream = await startLyingUpstream();
});
beforeEach(() => {
  client = clientOf([upstream]);
  return () => client.close();
});
afterAll(() => upstream.close());

describe('tags', () => {
  it('come in pages', async () => {
    upstream.handler = (_, response, { searchParams }) => {
      const isSecond = searchParams.get('last') === 'b';
      if (!isSecond) response.setHeader('link', '</v2/library/app/tags/list?n=2&last=b>; rel="next"');
      response.end(JSON.stringify({ name: 'x', tags: isSecond ? ['c'] : ['a', 'b'] }));
    };
    const first = await client.listTags(repository, { n: 2, last: 'A b' });
    expect(first).toEqual({ tags: ['a', 'b'], next: '?n=2&last=b' });
    expect(upstream.requests.at(-1)?.target).toBe('/v2/library/app/tags/list?n=2&last=A+b');
    expect(await client.listTags(repository, { next: first.next ?? '' })).toEqual({ tags: ['c'], next: undefined });
  });

  it('are asked for where they were, whatever the link says', async () => {
    upstream.handler = (_, response) => {
      response.setHeader('link', '<http://169.254.169.254/x?next_page=abc>; rel=next');
      response.end(JSON.stringify({ tags: [] }));
    };
    const { next = '' } = await client.listTags(repository);
    await client.listTags(repository, { next });
    expect(upstream.requests.at(-1)?.target).toBe('/v2/library/app/tags/list?next_page=abc');
  });

  it('are none where there are none, and only those that are some', async () => {
    upstream.handler = (_, response) => response.end('{"tags":null}');
    expect((await client.listTags(repository)).tags).toEqual([]);
    upstream.handler = (_, response) => response.end('{"tags":["a","../b",1,null]}');
    expect((await client.listTags(repository)).tags).toEqual(['a']);
  });

  it.each(['<html>', '[]', '{"tags":{}}', 'null', '1'])('are refused when they are %s', async (body) => {
    upstream.handler = (_, response) => response.end(body === '[]' ? '{"tags":"a"}' : body);
    await expect(client.listTags(repository)).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('of a repository that is not there are missing', async () => {
    upstream.handler = (_, response) => response.writeHead(404).end();
    await expect(client.listTags(parseRepositoryName('none'))).rejects.toMatchObject({ kind: 'missing' });
  });
});

describe('referrers', () => {
  const descriptor = (text: string) => ({
    mediaType: mediaTypes.ociManifest,
    digest: digestOfText(text),
    size: text.length,
    artifactType: 'application/spdx',
    annotations: { text },
  });
  const index = (...texts: string[]) =>
    JSON.stringify({ schemaVersion: 2, mediaType: mediaTypes.ociIndex, manifests: texts.map(descriptor) });

  it('come from all pages', async () => {
    upstream.handler = (_, response, { searchParams }) => {
      const isSecond = searchParams.has('p');
      if (!isSecond) response.setHeader('link', `</v2/library/app/referrers/${manifestDigest}?p=2>; rel="next"`);
      response.end(index(isSecond ? 'b' : 'a'));
    };
    expect(await client.listReferrers(repository, manifestDigest)).toEqual([descriptor('a'), descriptor('b')]);
  });

  it('come from the tag where there is no API', async () => {
    const content = Buffer.from(index('a'));
    upstream.handler = (_, response, { pathname }) => {
      const isTag = pathname.endsWith(`/manifests/${manifestDigest.replace(':', '-')}`);
      if (isTag) response.writeHead(200, { 'content-type': mediaTypes.ociIndex }).end(content);
      else response.writeHead(404).end();
    };
    expect(await client.listReferrers(repository, manifestDigest)).toEqual([descriptor('a')]);
    upstream.handler = (_, response) => response.writeHead(404).end();
    expect(await client.listReferrers(repository, manifestDigest)).toEqual([]);
  });

  it('are refused when they are too much, in however many pages they come', async () => {
    const size = Buffer.byteLength(index('a'));
    const other = clientOf([upstream], { maxManifestSize: 3 * size });
    upstream.handler = (_, response, { searchParams }) => {
      const next = Number(searchParams.get('p') ?? 1) + 1;
      response.setHeader('link', `</v2/library/app/referrers/${manifestDigest}?p=${next}>; rel="next"`);
      response.end(index('a'));
    };
    await expect(other.listReferrers(repository, manifestDigest)).rejects.toMatchObject({ kind: 'invalid' });
    expect(upstream.requests.at(-1)?.target).toMatch(/p=4$/);
    await other.close();
  });

  it('are refused when they are no index, and not looked for elsewhere when the upstream is down', async () => {
    upstream.handler = (_, response) => response.end('<html>');
    await expect(client.listReferrers(repository, manifestDigest)).rejects.toMatchObject({ kind: 'invalid' });
    upstream.handler = (_, response) => response.writeHead(503).end();
    await expect(client.listReferrers(repository, manifestDigest)).rejects.toMatchObject({ kind: 'unreachable' });
  });
});
