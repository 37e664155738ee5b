import { expect, it } from 'vitest';
import { linksOf } from './links.ts';

it('makes the links that distribution keeps of an image with a tag', () => {
  const [manifest, config] = [`sha256:${'a'.repeat(64)}`, `sha256:${'b'.repeat(64)}`];
  const top = '/docker/registry/v2/repositories/team/app';
  expect(linksOf('team/app', 'v1', manifest, config)).toEqual([
    { path: `${top}/_layers/sha256/${'b'.repeat(64)}/link`, content: config },
    { path: `${top}/_manifests/revisions/sha256/${'a'.repeat(64)}/link`, content: manifest },
    { path: `${top}/_manifests/tags/v1/index/sha256/${'a'.repeat(64)}/link`, content: manifest },
    { path: `${top}/_manifests/tags/v1/current/link`, content: manifest },
  ]);
});
