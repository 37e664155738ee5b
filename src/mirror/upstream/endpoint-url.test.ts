import { expect, it } from 'vitest';
import { parseEndpointUrl } from './endpoint-url.ts';

it.each([
  ['https://registry-1.docker.io', '', '/v2/'],
  ['https://registry-1.docker.io/', '', '/v2/'],
  ['https://a.example/hub', '', '/hub/v2/'],
  ['https://a.example/hub/v2', '', '/hub/v2/'],
  ['https://a.example/v2/quay.io/', 'quay.io/', '/v2/quay.io/'],
  ['https://a.example/x/v2/team/proxy', 'team/proxy/', '/x/v2/team/proxy/'],
  ['https://a.example/v2x', '', '/v2x/v2/'],
])('%s has repositories', (text, prefix, repositories) => {
  expect(parseEndpointUrl(text)).toMatchObject({ prefix, repositories });
});

it.each(['', 'registry:5000', 'ftp://a', 'https://a:b@c', 'https://a?b', 'https://a#b', '//a'])(
  '%j is none',
  (text) => {
    expect(() => parseEndpointUrl(text)).toThrow(TypeError);
  },
);
