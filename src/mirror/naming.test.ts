import { describe, expect, test } from 'vitest';
import { parseRepositoryName } from '../oci/name.ts';
import { Names } from './naming.ts';

const hub = {
  name: 'docker.io',
  aliases: ['index.docker.io', 'registry-1.docker.io'],
  prefix: 'docker.io',
  isDefault: true,
};
const quay = { name: 'quay.io', aliases: [], prefix: 'quay.io', isDefault: false };
const inner = { name: 'registry.inner:5000', aliases: [], prefix: 'inner/mirror', isDefault: false };
const names = new Names([hub, quay, inner]);
const show = (found: ReturnType<typeof names.ofDefault>) => found && [found.upstream.name, found.remote, found.local];

describe('a repository is of the upstream', () => {
  test.each([
    ['docker.io', 'library/alpine', ['docker.io', 'library/alpine', 'docker.io/library/alpine']],
    ['docker.io', 'alpine', ['docker.io', 'library/alpine', 'docker.io/library/alpine']],
    ['Registry-1.Docker.io', 'bitnami/redis', ['docker.io', 'bitnami/redis', 'docker.io/bitnami/redis']],
    ['quay.io', 'alpine', ['quay.io', 'alpine', 'quay.io/alpine']],
    ['registry.inner:5000', 'team/app', ['registry.inner:5000', 'team/app', 'inner/mirror/team/app']],
    ['evil.example', 'team/app', undefined],
    ['', 'team/app', undefined],
    ['doc\u212aer.io', 'team/app', undefined],
    ['__proto__', 'team/app', undefined],
  ])('that the namespace %j names: %s', (namespace, name, expected) => {
    expect(show(names.ofNamespace(namespace, parseRepositoryName(name)))).toEqual(expected);
  });

  test.each([
    ['quay.io/team/app', ['quay.io', 'team/app', 'quay.io/team/app']],
    ['docker.io/alpine', ['docker.io', 'library/alpine', 'docker.io/library/alpine']],
    ['inner/mirror/app', ['registry.inner:5000', 'app', 'inner/mirror/app']],
    ['inner/app', undefined],
    ['quay.io', undefined],
    ['quay.ios/app', undefined],
    ['team/quay.io/app', undefined],
  ])('that its prefix names: %s', (name, expected) => {
    expect(show(names.ofPrefix(parseRepositoryName(name)))).toEqual(expected);
  });

  test('that is the default one', () => {
    expect(show(names.ofDefault(parseRepositoryName('library/alpine')))).toEqual([
      'docker.io',
      'library/alpine',
      'docker.io/library/alpine',
    ]);
    expect(new Names([quay]).ofDefault(parseRepositoryName('library/alpine'))).toBeUndefined();
  });

  test('whose repositories are kept under their own names', () => {
    const only = new Names([{ name: 'registry.example', aliases: [], prefix: '', isDefault: true }]);
    expect(only.ofDefault(parseRepositoryName('team/app'))).toMatchObject({ remote: 'team/app', local: 'team/app' });
    expect(only.ofPrefix(parseRepositoryName('team/app'))).toBeUndefined();
  });

  test('unless the name would be too long here', () => {
    const long = parseRepositoryName(`team/${'a'.repeat(245)}`);
    expect(names.ofNamespace('registry.inner:5000', long)).toBeUndefined();
  });
});
