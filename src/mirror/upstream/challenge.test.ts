import { expect, it } from 'vitest';
import { parseChallenges } from './challenge.ts';

const hub = { realm: 'https://auth.docker.io/token', service: 'registry.docker.io' };

it.each<[string, string, unknown]>([
  [
    'of Docker Hub',
    'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    [{ scheme: 'bearer', parameters: { ...hub, scope: 'repository:library/alpine:pull' } }],
  ],
  [
    'with commas and spaces in a scope',
    'Bearer realm="r",scope="repository:a:pull,push repository:b:pull",error="insufficient_scope"',
    [
      {
        scheme: 'bearer',
        parameters: { realm: 'r', scope: 'repository:a:pull,push repository:b:pull', error: 'insufficient_scope' },
      },
    ],
  ],
  [
    'several in one line',
    'Basic realm="a, b", Bearer realm="r",service="s"',
    [
      { scheme: 'basic', parameters: { realm: 'a, b' } },
      { scheme: 'bearer', parameters: { realm: 'r', service: 's' } },
    ],
  ],
  [
    'with others that are not known',
    'Negotiate, NTLM YWJj==,Basic realm="x"',
    [
      { scheme: 'negotiate', parameters: {} },
      { scheme: 'ntlm', parameters: { ywjj: '=' } },
      { scheme: 'basic', parameters: { realm: 'x' } },
    ],
  ],
  [
    'with spaces',
    'bearer  realm = "r" , service = s',
    [{ scheme: 'bearer', parameters: { realm: 'r', service: 's' } }],
  ],
  [
    'without quotes',
    'Bearer realm=https://a.example/token,service=s',
    [{ scheme: 'bearer', parameters: { realm: 'https://a.example/token', service: 's' } }],
  ],
  ['with a quote that is missing', 'Bearer realm="r', [{ scheme: 'bearer', parameters: { realm: 'r' } }]],
  ['with escapes', 'Basic realm="a \\"b\\""', [{ scheme: 'basic', parameters: { realm: 'a "b"' } }]],
  ['with a name twice', 'Bearer realm="a",realm="b"', [{ scheme: 'bearer', parameters: { realm: 'a' } }]],
  ['of one word', 'Basic', [{ scheme: 'basic', parameters: {} }]],
  ['of nothing', '', []],
  ['without a scheme', 'realm="a"', []],
])('reads a challenge %s', (_, header, challenges) => {
  expect(parseChallenges(header)).toEqual(challenges);
});

it('takes no longer for what is meant to take long', () => {
  const started = performance.now();
  parseChallenges(`Bearer realm="${'\\'.repeat(16_000)}`);
  parseChallenges(`${'a '.repeat(8_000)}="`);
  parseChallenges(','.repeat(16_000));
  expect(performance.now() - started).toBeLessThan(1_000);
});
