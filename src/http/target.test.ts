import { describe, expect, it } from 'vitest';
import { parseTarget } from './target.ts';

describe('parseTarget', () => {
  it.each([
    ['', { kind: 'base' }],
    ['/', { kind: 'base' }],
    ['/_catalog', { kind: 'catalog' }],
    ['/a/manifests/latest', { kind: 'manifest', name: 'a', reference: 'latest' }],
    ['/a/manifests/sha256%3Aab', { kind: 'manifest', name: 'a', reference: 'sha256:ab' }],
    ['/foo/bar/manifests/manifests/tags', { kind: 'manifest', name: 'foo/bar/manifests', reference: 'tags' }],
    ['/foo/bar/manifests/tags/list', { kind: 'tags', name: 'foo/bar/manifests' }],
    ['/docker.com/foo/tags/list', { kind: 'tags', name: 'docker.com/foo' }],
    ['/host:5000/foo/tags/list', { kind: 'tags', name: 'host:5000/foo' }],
    ['/a/blobs/sha256:ab', { kind: 'blob', name: 'a', digest: 'sha256:ab' }],
    ['/a/blobs/uploads/', { kind: 'uploads', name: 'a' }],
    ['/a/blobs/uploads', { kind: 'uploads', name: 'a' }],
    ['/a/blobs/uploads/id-1', { kind: 'upload', name: 'a', id: 'id-1' }],
    ['/blobs/uploads/blobs/uploads/', { kind: 'uploads', name: 'blobs/uploads' }],
    ['/a/referrers/sha256:ab', { kind: 'referrers', name: 'a', digest: 'sha256:ab' }],
    ['/a/../manifests/x', { kind: 'manifest', name: 'a/..', reference: 'x' }],
  ])('%s', (path, target) => {
    expect(parseTarget(path)).toEqual(target);
  });

  it.each([
    '/a',
    '/a/tags/other',
    '/manifests/latest',
    '/a/manifests/',
    '/a/blobs/',
    '/a/manifests/%zz',
    '/blobs/uploads/x',
  ])('there is no route %s', (path) => {
    expect(parseTarget(path)).toBeUndefined();
  });
});
