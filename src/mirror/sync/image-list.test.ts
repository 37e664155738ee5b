import { describe, expect, it } from 'vitest';
import { Names } from '../naming.ts';
import { createUpstreamClient } from '../upstream/client.ts';
import type { Upstream } from '../upstream.ts';
import { formatImage, ImageListError, parseImage, parseImageList } from './image-list.ts';
import { formatPlatform } from './platform.ts';

function upstream(name: string, more: Partial<Upstream> = {}): Upstream {
  const client = createUpstreamClient({ name, endpoints: [{ url: 'http://127.0.0.1:1' }], userAgent: 'test' });
  const naming = { name, aliases: [], prefix: name, isDefault: false };
  return { ...naming, client, admits: () => true, revalidate: 0, maxStale: 0, patience: 1_000, ...more };
}

const hub = upstream('docker.io', { aliases: ['index.docker.io'], prefix: 'hub' });
const own = upstream('registry.example:5000', { prefix: 'example', isDefault: true });
const names = new Names([hub, own, upstream('quay.io', { admits: (name) => !name.startsWith('secret/') })]);
const digest = `sha256:${'a'.repeat(64)}`;

function read(text: string, among = names): string {
  const { mirrored, tags } = parseImage(text, among);
  return 'reference' in tags ? formatImage(mirrored, tags.reference) : `${mirrored.local} ${tags.pattern}`;
}

describe('the name of an image', () => {
  it.each([
    ['alpine', 'hub/library/alpine:latest'],
    ['team/app:1', 'hub/team/app:1'],
    ['docker.io/alpine:3.20', 'hub/library/alpine:3.20'],
    ['index.docker.io/library/alpine', 'hub/library/alpine:latest'],
    ['hub/library/alpine', 'hub/library/alpine:latest'],
    ['quay.io/team/app:v1', 'quay.io/team/app:v1'],
    [`quay.io/team/app@${digest}`, `quay.io/team/app@${digest}`],
    [`quay.io/team/app:v1@${digest}`, `quay.io/team/app@${digest}`],
    ['registry.example:5000/app', 'example/app:latest'],
    ['registry.example:5000/app:2', 'example/app:2'],
    ['example/app:2', 'example/app:2'],
    ['quay.io/team/app:v1.*', 'quay.io/team/app /^v1\\..*$/'],
    ['quay.io/team/app:*', 'quay.io/team/app /^.*$/'],
  ])('%s is %s', (text, expected) => {
    expect(read(text)).toBe(expected);
  });

  it('without a registry is of the default upstream where Docker Hub is not mirrored', () => {
    expect(read('app', new Names([own]))).toBe('example/app:latest');
    expect(() => read('app', new Names([upstream('quay.io')]))).toThrow('docker.io is not among mirror.upstreams');
  });

  it.each([
    ['ghcr.io/team/app', 'ghcr.io is not among'],
    ['quay.io/Team/app', 'is not the name of an image'],
    ['quay.io/team/app@sha256:12', 'neither a tag nor a digest'],
    ['quay.io/team/app:-x', 'neither a tag nor a digest'],
    ['quay.io/secret/app', 'does not allow'],
    ['', 'is not the name'],
  ])('%s is refused: %s', (text, message) => {
    expect(() => read(text)).toThrow(message);
    expect(() => read(text)).toThrow(ImageListError);
  });
});

describe('a list', () => {
  it('has an image in each line, with platforms where they differ', () => {
    const text = '# ours\nalpine:3.20 # small\n\n  quay.io/team/app\tlinux/arm64,linux/arm/v7\r\n';
    const list = parseImageList(text, 'images.txt', names, [{ os: 'linux', architecture: 'amd64' }]);
    expect(list.map(({ platforms }) => platforms?.map(formatPlatform))).toEqual([
      ['linux/amd64'],
      ['linux/arm64', 'linux/arm/v7'],
    ]);
    expect(list.map(({ mirrored }) => mirrored.local)).toEqual(['hub/library/alpine', 'quay.io/team/app']);
  });

  it.each([
    ['alpine\nghcr.io/a', 'images.txt:2: ghcr.io/a: ghcr.io is not among mirror.upstreams'],
    ['alpine amd64', 'images.txt:1: amd64 is no platform'],
    ['alpine linux/amd64 linux/arm64', 'images.txt:1: has more than'],
  ])('says in which line it is wrong: %j', (text, message) => {
    expect(() => parseImageList(text, 'images.txt', names)).toThrow(message);
  });
});
